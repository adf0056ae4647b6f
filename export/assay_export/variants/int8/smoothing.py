"""Fit recipes to a layer: choose its smoothing, and estimate the error of each recipe on the layer's sample.

Smoothing moves part of each input channel's range from the activations to the weights (SmoothQuant, arXiv 2211.10438):
x is divided and w is multiplied by s_c = max|x_c|^alpha / max|w_c|^(1 - alpha), with alpha searched per layer.
"""

from collections.abc import Callable

import numpy as np

from assay_export.graphs.writer import Array
from assay_export.variants.int8.linear import Recipe, quantise_blocks, quantise_columns
from assay_export.variants.int8.statistics import LayerStatistics

__all__ = [
    "ALPHAS",
    "FEW_COLUMNS",
    "Fit",
    "compute_relative_error",
    "estimate_layer_error",
    "fit_dynamic",
    "list_candidates",
    "quantise_activations",
    "smoothing_scales",
    "split_operands",
]

ALPHAS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
# A layer of at most this many columns, such as a classifier, stays in float32: int8 could not save any time.
FEW_COLUMNS = 16
# The numbers of input channels, largest first, that may go through a float32 product in addition to the int8 one.
COLUMN_COUNTS = (4, 8, 16, 32)

# Fits a recipe to a layer. Returns the recipe, with its scales filled in if they are fixed at export, and its error.
Fit = Callable[[LayerStatistics, Recipe], tuple[Recipe, float]]


def estimate_layer_error(layer: LayerStatistics, recipe: Recipe) -> float:
    """Return the relative error of the layer's output on its sample, ||quantised - exact|| / ||exact||.

    The arithmetic is that of DynamicQuantizeMatMul, with one scale for the whole sample.
    """
    if recipe.kind == "fp32":
        return 0.0
    exact = layer.sample @ layer.weight
    x, weight, in_float32 = split_operands(layer.sample, layer.weight, recipe)
    if recipe.kind == "blockwise":  # at accuracy level 4, MatMulNBits quantises activations by block too
        return compute_relative_error(_round_by_block(x) @ _round_by_block(weight.T).T, exact)
    values, scale = quantise_columns(weight)
    return compute_relative_error(quantise_activations(x) @ (values * scale) + in_float32, exact)


def split_operands(x: Array, weight: Array, recipe: Recipe) -> tuple[Array, Array, Array | float]:
    """Split a product into its int8 part and its float32 part.

    Args:
        x: The activations, float32 [rows, in].
        weight: The weight, float32 [in, out].
        recipe: The recipe, of which smoothing and float32 columns are applied.

    Returns:
        The activations and the weight of the int8 product, smoothed, with the float32 columns set to zero; and the
        product of the float32 columns, [rows, out], or 0.0 if there are none.
    """
    if recipe.smoothing is not None:
        x, weight = x / recipe.smoothing, weight * recipe.smoothing[:, None]
    if not recipe.columns:
        return x, weight, 0.0
    columns = list(recipe.columns)
    in_float32 = x[:, columns] @ weight[columns]
    x, weight = x.copy(), weight.copy()
    x[:, columns] = 0
    weight[columns] = 0
    return x, weight, in_float32


def _round_by_block(rows: Array) -> Array:
    """Round rows to 8 bits with a scale per block, and return them in float32."""
    values, scale = quantise_blocks(rows)
    return np.reshape(values * scale[..., None], (len(rows), -1))[:, : rows.shape[1]]


def compute_relative_error(approximate: Array, exact: Array) -> float:
    """Return ||approximate - exact|| / ||exact||, or 0 if `exact` is all zeros."""
    norm = float(np.linalg.norm(exact))
    return float(np.linalg.norm(approximate - exact)) / norm if norm else 0.0


def quantise_activations(x: Array) -> Array:
    """Round x [rows, in] to uint8 with one scale and zero point, and return it in float32 (DynamicQuantizeLinear)."""
    low, high = min(float(x.min()), 0.0), max(float(x.max()), 0.0)
    scale = (high - low) / 255 or 1.0
    zero = np.clip(np.rint(-low / scale), 0, 255)
    return ((np.clip(np.rint(x / scale) + zero, 0, 255) - zero) * scale).astype(np.float32)


def fit_dynamic(layer: LayerStatistics, recipe: Recipe) -> tuple[Recipe, float]:
    """Return the recipe unchanged, because its scales are found at run time, and its `estimate_layer_error`."""
    return recipe, estimate_layer_error(layer, recipe)


def list_candidates(
    layer: LayerStatistics, absorbable: bool, fit: Fit = fit_dynamic, blockwise: bool = True
) -> list[tuple[Recipe, float]]:
    """List the recipes for one layer with their errors, cheapest at run time first.

    The order is: plain or with absorbed smoothing, smoothed by a division, with float32 columns, block-wise. A layer of
    at most FEW_COLUMNS has only float32.

    Args:
        layer: The layer's statistics.
        absorbable: Whether smoothing can be absorbed by the weights that produce the layer's input.
        fit: How recipes are fitted and their errors estimated.
        blockwise: Whether to include the block-wise recipe.
    """
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
    found += _fit_columns(layer, smoothed[0], fit)
    return [*found, fit(layer, Recipe("blockwise"))] if blockwise else found


def _fit_columns(layer: LayerStatistics, recipe: Recipe, fit: Fit) -> list[tuple[Recipe, float]]:
    size = layer.channel_max if recipe.smoothing is None else layer.channel_max / recipe.smoothing
    order = np.argsort(-size)
    return [
        fit(layer, recipe.escalated("columns", tuple(sorted(int(c) for c in order[:count]))))
        for count in COLUMN_COUNTS
        if count * 4 <= len(order)
    ]


def smoothing_scales(layer: LayerStatistics, alpha: float) -> Array:
    """Return SmoothQuant's scale for each input channel, float32 [in]."""
    weight_max = np.abs(layer.weight).max(axis=1)
    used = (layer.channel_max > 0) & (weight_max > 0)
    scale = np.ones(len(weight_max), np.float32)
    scale[used] = layer.channel_max[used] ** alpha / weight_max[used] ** (1 - alpha)
    scale /= np.sqrt(scale[used].max() * scale[used].min()) if used.any() else 1  # only the ratios matter
    return np.clip(scale, 1e-4, 1e4).astype(np.float32)
