"""Scales of activations that are fixed at export: where to clip, by what that does to a layer's output.

With one scale for every text there will ever be, the largest activation of calibration need not be the best end of the
range: rounding everything else finer may be worth more than the few values that saturate.
"""

from dataclasses import replace

import numpy as np

from assay_export.graphs.writer import Array
from assay_export.variants.int8.linear import Recipe, quantise_columns
from assay_export.variants.int8.smoothing import operands, relative_error
from assay_export.variants.int8.statistics import LayerStatistics

# Ends of the range that are tried, as parts of the largest |x| of calibration.
CLIPS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
# int8, symmetric around 0. TensorRT and ONNX use -128 as well, and the scale is that of the positive end.
ACTIVATION_LEVELS = 127


def fit_static(layer: LayerStatistics, recipe: Recipe) -> tuple[Recipe, float]:
    """`recipe` with the `activation_max` that moves the layer's output least, and its relative error there.

    The tokens that are measured are the sample and each row's largest one, which a sample may have missed. To choose,
    the errors of channels are taken as independent, which spares a product for each end that is tried.
    """
    tokens = np.concatenate([layer.sample, layer.peaks])
    x, weight, beside = operands(tokens, layer.weight, recipe)
    channel_max = layer.channel_max if recipe.smoothing is None else layer.channel_max / recipe.smoothing
    largest = float(np.delete(channel_max, list(recipe.columns)).max()) or 1.0
    weight_of_channel = np.square(weight).sum(axis=1)

    def squared_error(activation_max: float) -> float:
        return float(np.square(quantise_activations(x, activation_max) - x).sum(axis=0) @ weight_of_channel)

    activation_max = min((clip * largest for clip in CLIPS), key=squared_error)
    values, scale = quantise_columns(weight)
    approximate = quantise_activations(x, activation_max) @ (values * scale) + beside
    return replace(recipe, activation_max=activation_max), relative_error(approximate, tokens @ layer.weight)


def quantise_activations(x: Array, activation_max: float) -> Array:
    """x as int8 with the scale of `activation_max`, back in float32: QuantizeLinear and DequantizeLinear."""
    scale = activation_scale(activation_max)
    return (np.clip(np.rint(x / scale), -ACTIVATION_LEVELS - 1, ACTIVATION_LEVELS) * scale).astype(np.float32)


def activation_scale(activation_max: float) -> np.float32:
    """What one step of int8 is worth; above zero, as TensorRT wants it."""
    return max(np.float32(activation_max / ACTIVATION_LEVELS), np.finfo(np.float32).tiny)
