"""How much of each input channel's range to move from the activations to the weights, searched per layer.

SmoothQuant (arXiv 2211.10438): s_c = max|x_c|^alpha / max|w_c|^(1 - alpha), x divided and w multiplied by it.
"""

from __future__ import annotations

import numpy as np

from ..net import Array
from .linear import Recipe, quantise_blocks, quantise_columns
from .statistics import LayerStatistics

ALPHAS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
# An explicit division costs a pass over the activations: it must at least halve the error to be worth it.
WORTH_A_PASS = 0.5
# A classifier's few labels: an operator's overhead is all that int8 could change.
FEW_COLUMNS = 16
# How many of the largest input channels may go through a float32 product beside the int8 one.
COLUMN_COUNTS = (4, 8, 16, 32)


def layer_error(layer: LayerStatistics, recipe: Recipe) -> float:
    """Relative error of the layer's output on its sample, ||quantised - exact|| / ||exact||.

    The arithmetic is DynamicQuantizeMatMul's; it quantises one row at a time here, as a short text would.
    """
    x, weight = layer.sample, layer.weight
    exact = x @ weight
    if recipe.smoothing is not None:
        x, weight = x / recipe.smoothing, weight * recipe.smoothing[:, None]
    if recipe.kind == "fp32":
        return 0.0
    if recipe.kind == "blockwise":  # MatMulNBits at accuracy level 4 quantises activations by block as well
        approximate = _by_block(x) @ _by_block(weight.T).T
        return _relative(approximate, exact)
    beside: Array | float = 0.0
    if recipe.columns:
        columns = list(recipe.columns)
        beside = x[:, columns] @ weight[columns]
        x, weight = x.copy(), weight.copy()
        x[:, columns] = 0
        weight[columns] = 0
    values, scale = quantise_columns(weight)
    approximate = quantise_activations(x) @ (values * scale) + beside
    return _relative(approximate, exact)


def _by_block(rows: Array) -> Array:
    values, scale = quantise_blocks(rows)
    return np.reshape(values * scale[..., None], (len(rows), -1))[:, : rows.shape[1]]


def _relative(approximate: Array, exact: Array) -> float:
    norm = float(np.linalg.norm(exact))
    return float(np.linalg.norm(approximate - exact)) / norm if norm else 0.0


def quantise_activations(x: Array) -> Array:
    """x [rows, in] as uint8 with one scale and zero point for all of it, back in float32 (DynamicQuantizeLinear)."""
    low, high = min(float(x.min()), 0.0), max(float(x.max()), 0.0)
    scale = (high - low) / 255 or 1.0
    zero = np.clip(np.rint(-low / scale), 0, 255)
    return ((np.clip(np.rint(x / scale) + zero, 0, 255) - zero) * scale).astype(np.float32)


def candidates(layer: LayerStatistics, absorbable: bool) -> list[tuple[Recipe, float]]:
    """Recipes for one layer with their errors, cheapest at run time first: plain or absorbed smoothing, explicit
    smoothing, float32 columns, block-wise scales. None for a layer of FEW_COLUMNS, which float32 does not slow down."""
    if layer.weight.shape[1] <= FEW_COLUMNS:
        return [(Recipe("fp32"), 0.0)]
    plain = Recipe()
    smoothed = min(
        (
            (recipe, layer_error(layer, recipe))
            for alpha in ALPHAS
            for recipe in [Recipe(smoothing=_scales(layer, alpha), absorbed=absorbable, alpha=alpha)]
        ),
        key=lambda pair: pair[1],
    )
    found = [(plain, layer_error(layer, plain))]
    if absorbable:
        found = [min(found[0], smoothed, key=lambda pair: pair[1])]
    else:
        found.append(smoothed)
    blockwise = plain.escalated("blockwise")
    return [*found, *_with_columns(layer, smoothed[0]), (blockwise, layer_error(layer, blockwise))]


def _with_columns(layer: LayerStatistics, recipe: Recipe) -> list[tuple[Recipe, float]]:
    size = layer.channel_max if recipe.smoothing is None else layer.channel_max / recipe.smoothing
    order = np.argsort(-size)
    result = []
    for count in COLUMN_COUNTS:
        if count * 4 <= len(order):
            escalated = recipe.escalated("columns", tuple(sorted(int(c) for c in order[:count])))
            result.append((escalated, layer_error(layer, escalated)))
    return result


def _scales(layer: LayerStatistics, alpha: float) -> Array:
    weight_max = np.abs(layer.weight).max(axis=1)
    seen = (layer.channel_max > 0) & (weight_max > 0)
    scale = np.ones(len(weight_max), np.float32)
    scale[seen] = layer.channel_max[seen] ** alpha / weight_max[seen] ** (1 - alpha)
    scale /= np.sqrt(scale[seen].max() * scale[seen].min()) if seen.any() else 1  # only the ratios matter
    return np.clip(scale, 1e-4, 1e4).astype(np.float32)
