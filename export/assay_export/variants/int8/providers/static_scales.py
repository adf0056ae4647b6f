"""Fixed scales of activations: choose where to clip by the error of the layer's output.

One scale must fit all texts. The largest activation of calibration is not always the best end of the range: rounding
all other values more finely can outweigh the saturation of a few.
"""

from dataclasses import replace

import numpy as np

from assay_export.graphs.writer import Array
from assay_export.variants.int8.linear import Recipe, quantise_columns
from assay_export.variants.int8.smoothing import compute_relative_error, split_operands
from assay_export.variants.int8.statistics import LayerStatistics

__all__ = ["CLIPS", "compute_activation_scale", "fit_static", "quantise_activations"]

CLIPS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
"""The ends of the range to try, as fractions of the largest |x| in calibration."""

# Symmetric int8. TensorRT and ONNX also use -128; the scale is that of the positive end.
ACTIVATION_LEVELS = 127


def fit_static(layer: LayerStatistics, recipe: Recipe) -> tuple[Recipe, float]:
    """Fill in the `activation_max` with the smallest error of the layer's output, and return it with that error.

    The error is measured on the sample and on the largest token of each row, which the sample may have missed. For the
    choice, errors of different channels are assumed to be independent, which avoids one product per end of the range.
    """
    tokens = np.concatenate([layer.sample, layer.peaks])
    x, weight, in_float32 = split_operands(tokens, layer.weight, recipe)
    channel_max = layer.channel_max if recipe.smoothing is None else layer.channel_max / recipe.smoothing
    largest = float(np.delete(channel_max, list(recipe.columns)).max()) or 1.0
    weight_of_channel = np.square(weight).sum(axis=1)

    def squared_error(activation_max: float) -> float:
        return float(np.square(quantise_activations(x, activation_max) - x).sum(axis=0) @ weight_of_channel)

    activation_max = min((clip * largest for clip in CLIPS), key=squared_error)
    values, scale = quantise_columns(weight)
    approximate = quantise_activations(x, activation_max) @ (values * scale) + in_float32
    return replace(recipe, activation_max=activation_max), compute_relative_error(approximate, tokens @ layer.weight)


def quantise_activations(x: Array, activation_max: float) -> Array:
    """Round x to int8 with the scale of `activation_max`, as QuantizeLinear and DequantizeLinear do."""
    scale = compute_activation_scale(activation_max)
    return (np.clip(np.rint(x / scale), -ACTIVATION_LEVELS - 1, ACTIVATION_LEVELS) * scale).astype(np.float32)


def compute_activation_scale(activation_max: float) -> np.float32:
    """Return the scale for `activation_max`: the step of int8. It is above zero, as TensorRT requires."""
    return max(np.float32(activation_max / ACTIVATION_LEVELS), np.finfo(np.float32).tiny)
