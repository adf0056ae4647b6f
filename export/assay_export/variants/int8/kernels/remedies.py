"""The ways to compute one layer of the kernels graph, each with its error and its time.

A remedy makes a layer more exact and slower: a scale of the activations for each group of input columns instead of one
per row, the columns with the largest activations in float32, or the whole layer in float32. Smoothing (SmoothQuant,
arXiv 2211.10438) costs nothing where the producer of the input absorbs it, and is not used elsewhere.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from assay_export.graphs.writer import Array
from assay_export.variants.int8.linear import WEIGHT_LEVELS, Recipe, quantise_columns
from assay_export.variants.int8.smoothing import ALPHAS, FEW_COLUMNS, smoothing_scales
from assay_export.variants.int8.statistics import LayerStatistics

__all__ = ["Line", "Remedy", "attention_line", "embedding_line", "linear_line"]

# Input columns that share a scale of the activations; 0: all of a row.
GROUPS = (0, 256, 128, 64)
# How many of the columns with the largest activations are multiplied in float32.
COLUMN_COUNTS = (0, 4, 8, 16, 32)

# Times relative to the plain int8 product of the same shape: docs/measurements/kernels.md.
TIME_OF_GROUPS = {0: 1.0, 256: 1.03, 128: 1.06, 64: 1.15}
TIME_OF_FLOAT32 = 4.0
# A head, and what only the first token of the last layer passes through, is computed once per text.
TOKENS_OF_A_TEXT = 64
# Attention in float32 instead of int8, in multiply-adds per token and channel: an estimate for short texts.
TIME_OF_FLOAT32_ATTENTION = 400.0


class Remedy(NamedTuple):
    """One way to compute a layer: its relative output error, and its time in int8 multiply-adds per token."""

    recipe: Recipe
    error: float
    time: float


@dataclass
class Line:
    """A layer with its remedies, fastest first, each more exact than the one before it; the first is plain int8."""

    name: str
    remedies: list[Remedy]
    #: Mean |delta logit| where this layer alone is computed by its first remedy.
    damage: float = 0.0

    def damage_of(self, remedy: Remedy) -> float:
        """Compute the expected damage of the layer with `remedy`."""
        first = self.remedies[0].error
        return self.damage * remedy.error / first if first else 0.0


def attention_line(name: str, hidden_size: int) -> Line:
    """List the remedies of an attention operator: int8 and float32. Only the ratio of their errors matters."""
    time = TIME_OF_FLOAT32_ATTENTION * hidden_size
    return Line(name, [Remedy(Recipe(), 1.0, 0.0), Remedy(Recipe("fp32"), 0.0, time)])


def embedding_line(name: str, hidden_size: int) -> Line:
    """List the remedies of the token embeddings: int8, and float16, which takes more memory rather than more time."""
    return Line(name, [Remedy(Recipe(), 1.0, 0.0), Remedy(Recipe("fp16"), 0.0, float(hidden_size))])


def linear_line(layer: LayerStatistics, absorbable: bool) -> Line:
    """List the remedies of a linear layer, without those that are neither faster nor more exact than another."""
    rows, columns = layer.weight.shape
    once_per_text = len(layer.sample) <= len(layer.peaks)
    size = rows * columns / (TOKENS_OF_A_TEXT if once_per_text else 1)
    exact = Remedy(Recipe("fp32"), 0.0, size * TIME_OF_FLOAT32)
    if columns <= FEW_COLUMNS:  # a classifier: an operator's overhead is all that int8 could change
        return Line(layer.name, [exact])
    tokens = np.concatenate([layer.sample, layer.peaks])
    smoothing = _choose_smoothing(layer, tokens) if absorbable else None
    found = []
    for count in COLUMN_COUNTS:
        if count * 4 > rows:
            continue
        chosen = _largest_columns(layer, smoothing, count)
        for group in GROUPS:
            if group >= rows:
                continue
            recipe = Recipe("int8", smoothing, smoothing is not None, chosen, group=group)
            time = size * (TIME_OF_GROUPS[group] + TIME_OF_FLOAT32 * count / rows)
            found.append(Remedy(recipe, estimate_error(tokens, layer.weight, recipe), time))
    return Line(layer.name, [*_without_dominated(found), exact])


def estimate_error(tokens: Array, weight: Array, recipe: Recipe) -> float:
    """Estimate the relative error of tokens [rows, in] @ weight [in, out], ||quantised - exact|| / ||exact||.

    Rounding errors of different channels are taken as independent, which spares a product for each recipe.
    """
    if recipe.kind == "fp32":
        return 0.0
    x, w = tokens, weight
    if recipe.smoothing is not None:
        x, w = x / recipe.smoothing, w * recipe.smoothing[:, None]
    if recipe.columns:
        kept = np.ones(len(weight), np.float32)
        kept[list(recipe.columns)] = 0
        x, w = x * kept, w * kept[:, None]
    values, scale = quantise_columns(w)
    of_activations = np.square(x - quantise_rows_in_groups(x, recipe.group)).sum(axis=0) @ np.square(w).sum(axis=1)
    of_weights = np.square(x).sum(axis=0) @ np.square(w - values * scale).sum(axis=1)
    exact = float(np.linalg.norm(tokens @ weight))
    return float(np.sqrt(of_activations + of_weights)) / exact if exact else 0.0


def quantise_rows_in_groups(x: Array, group: int) -> Array:
    """Quantise x [rows, in] symmetrically with a scale per row and group of columns, and return it in float32."""
    rows, width = x.shape
    size = group or width
    padded = np.pad(x, ((0, 0), (0, -width % size))).reshape(rows, -1, size)
    scale = np.abs(padded).max(axis=-1, keepdims=True) / WEIGHT_LEVELS
    scale[scale == 0] = 1
    result: Array = (np.rint(padded / scale) * scale).reshape(rows, -1)[:, :width]
    return result


def _choose_smoothing(layer: LayerStatistics, tokens: Array) -> Array | None:
    candidates = [None, *(smoothing_scales(layer, alpha) for alpha in ALPHAS)]
    return min(candidates, key=lambda s: estimate_error(tokens, layer.weight, Recipe(smoothing=s)))


def _largest_columns(layer: LayerStatistics, smoothing: Array | None, count: int) -> tuple[int, ...]:
    size = layer.channel_max if smoothing is None else layer.channel_max / smoothing
    return tuple(sorted(int(column) for column in np.argsort(-size)[:count]))


def _without_dominated(remedies: list[Remedy]) -> list[Remedy]:
    """Keep the remedies that are more exact than every faster one, fastest first."""
    kept: list[Remedy] = []
    for remedy in sorted(remedies, key=lambda r: (r.time, r.error)):
        if not kept or remedy.error < kept[-1].error:
            kept.append(remedy)
    return kept
