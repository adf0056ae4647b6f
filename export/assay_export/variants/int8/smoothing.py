"""How much of each input channel's range to move from the activations to the weights, searched per layer.

SmoothQuant (arXiv 2211.10438): s_c = max|x_c|^alpha / max|w_c|^(1 - alpha), x divided and w multiplied by it.
"""

from collections.abc import Callable

import numpy as np

from assay_export.graphs.writer import Array
from assay_export.variants.int8.linear import Recipe, quantise_blocks, quantise_columns
from assay_export.variants.int8.statistics import LayerStatistics

ALPHAS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
# An explicit division costs a pass over the activations: it must at least halve the error to be worth it.
WORTH_A_PASS = 0.5
# A classifier's few labels: an operator's overhead is all that int8 could change.
FEW_COLUMNS = 16
# How many of the largest input channels may go through a float32 product beside the int8 one.
COLUMN_COUNTS = (4, 8, 16, 32)

# A recipe for a layer, completed where its scales are fixed at export, and the error that it makes.
Fit = Callable[[LayerStatistics, Recipe], tuple[Recipe, float]]


def layer_error(layer: LayerStatistics, recipe: Recipe) -> float:
    """Relative error of the layer's output on its sample, ||quantised - exact|| / ||exact||.

    The arithmetic is DynamicQuantizeMatMul's; it quantises one row at a time here, as a short text would.
    """
    if recipe.kind == "fp32":
        return 0.0
    exact = layer.sample @ layer.weight
    x, weight, beside = operands(layer.sample, layer.weight, recipe)
    if recipe.kind == "blockwise":  # MatMulNBits at accuracy level 4 quantises activations by block as well
        return relative_error(_by_block(x) @ _by_block(weight.T).T, exact)
    values, scale = quantise_columns(weight)
    return relative_error(quantise_activations(x) @ (values * scale) + beside, exact)


def operands(x: Array, weight: Array, recipe: Recipe) -> tuple[Array, Array, Array | float]:
    """What the int8 product of x [rows, in] and weight [in, out] multiplies, smoothed and with its float32 columns set
    to zero, and what these give, [rows, out] or 0."""
    if recipe.smoothing is not None:
        x, weight = x / recipe.smoothing, weight * recipe.smoothing[:, None]
    if not recipe.columns:
        return x, weight, 0.0
    columns = list(recipe.columns)
    beside = x[:, columns] @ weight[columns]
    x, weight = x.copy(), weight.copy()
    x[:, columns] = 0
    weight[columns] = 0
    return x, weight, beside


def _by_block(rows: Array) -> Array:
    values, scale = quantise_blocks(rows)
    return np.reshape(values * scale[..., None], (len(rows), -1))[:, : rows.shape[1]]


def relative_error(approximate: Array, exact: Array) -> float:
    """||approximate - exact|| / ||exact||."""
    norm = float(np.linalg.norm(exact))
    return float(np.linalg.norm(approximate - exact)) / norm if norm else 0.0


def quantise_activations(x: Array) -> Array:
    """x [rows, in] as uint8 with one scale and zero point for all of it, back in float32 (DynamicQuantizeLinear)."""
    low, high = min(float(x.min()), 0.0), max(float(x.max()), 0.0)
    scale = (high - low) / 255 or 1.0
    zero = np.clip(np.rint(-low / scale), 0, 255)
    return ((np.clip(np.rint(x / scale) + zero, 0, 255) - zero) * scale).astype(np.float32)


def fit_dynamic(layer: LayerStatistics, recipe: Recipe) -> tuple[Recipe, float]:
    """`recipe` as it is, since the activations' scale is found at run time, and its `layer_error`."""
    return recipe, layer_error(layer, recipe)


def candidates(
    layer: LayerStatistics, absorbable: bool, fit: Fit = fit_dynamic, blockwise: bool = True
) -> list[tuple[Recipe, float]]:
    """Recipes for one layer with their errors, cheapest at run time first: plain or absorbed smoothing, explicit
    smoothing, float32 columns, block-wise scales. None for a layer of FEW_COLUMNS, which float32 does not slow down."""
    if layer.weight.shape[1] <= FEW_COLUMNS:
        return [(Recipe("fp32"), 0.0)]
    plain = fit(layer, Recipe())
    smoothed = min(
        (
            fit(layer, Recipe(smoothing=smoothing_scales(layer, alpha), absorbed=absorbable, alpha=alpha))
            for alpha in ALPHAS
        ),
        key=lambda pair: pair[1],
    )
    found = [min(plain, smoothed, key=lambda pair: pair[1])] if absorbable else [plain, smoothed]
    found += _with_columns(layer, smoothed[0], fit)
    return [*found, fit(layer, Recipe("blockwise"))] if blockwise else found


def _with_columns(layer: LayerStatistics, recipe: Recipe, fit: Fit) -> list[tuple[Recipe, float]]:
    size = layer.channel_max if recipe.smoothing is None else layer.channel_max / recipe.smoothing
    order = np.argsort(-size)
    return [
        fit(layer, recipe.escalated("columns", tuple(sorted(int(c) for c in order[:count]))))
        for count in COLUMN_COUNTS
        if count * 4 <= len(order)
    ]


def smoothing_scales(layer: LayerStatistics, alpha: float) -> Array:
    weight_max = np.abs(layer.weight).max(axis=1)
    seen = (layer.channel_max > 0) & (weight_max > 0)
    scale = np.ones(len(weight_max), np.float32)
    scale[seen] = layer.channel_max[seen] ** alpha / weight_max[seen] ** (1 - alpha)
    scale /= np.sqrt(scale[seen].max() * scale[seen].min()) if seen.any() else 1  # only the ratios matter
    return np.clip(scale, 1e-4, 1e4).astype(np.float32)
