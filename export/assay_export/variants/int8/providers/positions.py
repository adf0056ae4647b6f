"""Products with tables of relative positions in 8 bits: uint8 activations, an int8 table, uint8 scores.

A table by distance has twice as many rows as the sequence has tokens, and the scores are copied three times before they
are realigned by position (architectures/deberta_v2/relative_positions.py). Copying one byte per score instead of four
is most of what int8 saves here. QLinearMatMul writes the scores as bytes. Their scale is the activations' scale, which
is found at run time, times a factor from calibration.
"""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from assay_export.graphs.precision import TableProducts
from assay_export.graphs.writer import Array, GraphWriter
from assay_export.variants.int8.linear import WEIGHT_LEVELS, Recipe
from assay_export.variants.int8.smoothing import quantise_activations
from assay_export.variants.int8.statistics import TableStatistics

__all__ = ["Int8TableProducts", "SimulatedTableProducts", "list_candidates", "quantise_table"]

# Scores are symmetric around 0, so the zero point is in the middle of uint8.
MIDDLE = 128
SCORE_LEVELS = 127
# Scores saturate at this multiple of the largest score in calibration.
HEADROOM = 1.25


class Int8TableProducts(TableProducts):
    """x is quantised per tensor at run time and the table at export. Products are uint8 until they are summed."""

    def __init__(self, net: GraphWriter, x: ir.Value, name: str, table: Array, score_reach: float) -> None:
        """Prepare the products of x with `table`.

        Args:
            net: The graph.
            x: Queries and keys, float32 [batch, heads, rows, head_size].
            name: The table's name.
            table: The table, float32 [heads, table rows, head_size].
            score_reach: The largest |score| that does not saturate, divided by the range of x.
        """
        op = net.op
        values, scale = quantise_table(table)
        self.net = net
        self.table = net.parameter(f"{name}.table", values)
        self.x, self._x_scale, self._x_zero_point = op.DynamicQuantizeLinear(x, _outputs=3)
        self._table_scale = _scalar(net, scale)
        # DynamicQuantizeLinear's scale is the range of x / 255.
        self._scale = op.Mul(self._x_scale, _scalar(net, np.float32(score_reach * 255 / SCORE_LEVELS)))
        self._middle = _scalar(net, np.uint8(MIDDLE))

    def multiply(self, x: ir.Value, table: ir.Value) -> ir.Value:
        op, zero = self.net.op, _scalar(self.net, np.int8(0))
        return op.QLinearMatMul(
            x,
            self._x_scale,
            self._x_zero_point,
            self.net.transpose_last(table),
            self._table_scale,
            zero,
            self._scale,
            self._middle,
        )

    def sum(self, products: Sequence[ir.Value]) -> ir.Value:
        op, scale, middle = self.net.op, self._scale, self._middle
        total, *rest = products
        for other in rest:
            # Nothing saturates here. Rounding the sum is most of the error, but the error is small compared with that
            # of a linear layer. Summing in float32 takes 1.07 times as long for the whole graph at 512 tokens
            # (docs/measurements/performance.md).
            both = op.Add(scale, self._scale)
            total = self.net.microsoft(
                "QLinearAdd", total, scale, middle, other, self._scale, middle, both, middle, like=total
            )
            scale = both
        return op.DequantizeLinear(total, scale, middle)


class SimulatedTableProducts(TableProducts):
    """The same arithmetic in float32 if `chosen`, a bool [], and the exact products otherwise (for damage.py)."""

    def __init__(
        self, net: GraphWriter, x: ir.Value, name: str, table: Array, score_reach: float, chosen: ir.Value
    ) -> None:
        op = net.op
        values, scale = quantise_table(table)
        quantised, self._x_scale, zero_point = op.DynamicQuantizeLinear(x, _outputs=3)
        rounded = op.DequantizeLinear(quantised, self._x_scale, zero_point)
        super().__init__(net, op.Where(chosen, rounded, x), name, table)
        self.table = op.Where(chosen, net.parameter(f"{name}.rounded", values * scale), self.table)
        self._chosen = chosen
        self._scale = op.Mul(self._x_scale, _scalar(net, np.float32(score_reach * 255 / SCORE_LEVELS)))

    def multiply(self, x: ir.Value, table: ir.Value) -> ir.Value:
        return self._rounded(super().multiply(x, table), self._scale)

    def sum(self, products: Sequence[ir.Value]) -> ir.Value:
        total, *rest = products
        scale = self._scale
        for other in rest:
            scale = self.net.op.Add(scale, self._scale)
            total = self._rounded(self.net.op.Add(total, other), scale)
        return total

    def _rounded(self, exact: ir.Value, scale: ir.Value) -> ir.Value:
        op, middle = self.net.op, _scalar(self.net, np.uint8(MIDDLE))
        rounded = op.DequantizeLinear(op.QuantizeLinear(exact, scale, middle), scale, middle)
        return op.Where(self._chosen, rounded, exact)


def list_candidates(seen: TableStatistics, absorbable: bool) -> list[tuple[Recipe, float]]:
    """List the recipes for a table: int8 with its relative error on the sample, and float32.

    Args:
        seen: The table's statistics.
        absorbable: Whether queries and keys, which share a scale, can be balanced by the weights that produce them.
    """
    heads = len(seen.table)
    balance = np.ones(heads, np.float32)
    smoothing = None
    if absorbable:
        largest = np.maximum(-seen.low, seen.high).max(axis=0)
        query, key = largest[: heads // 2].max(), largest[heads // 2 :].max()
        if query > 0 and key > 0:
            ratio = np.sqrt(query / key)
            smoothing = np.array([ratio, 1 / ratio], np.float32)
            balance = np.repeat(smoothing, heads // 2)
    span = (seen.high / balance).max(axis=1) - (seen.low / balance).min(axis=1)
    reach = HEADROOM * float((seen.score_max / np.maximum(span, np.finfo(np.float32).tiny)).max())
    recipe = Recipe(smoothing=smoothing, absorbed=smoothing is not None, score_reach=reach or 1.0)
    return [(recipe, _error(seen, recipe, balance)), (recipe.escalated("fp32"), 0.0)]


def _error(seen: TableStatistics, recipe: Recipe, balance: Array) -> float:
    """Return the relative error of all scores of the sample, ||quantised - exact|| / ||exact||."""
    x, table = seen.sample / balance[:, None], seen.table * balance[:, None, None]
    exact = np.einsum("thd,hrd->thr", x, table, optimize=True)
    values, scale = quantise_table(table)
    approximate = np.einsum("thd,hrd->thr", quantise_activations(x), values * scale, optimize=True)
    step = recipe.score_reach * (max(float(x.max()), 0.0) - min(float(x.min()), 0.0)) / SCORE_LEVELS or 1.0
    approximate = np.clip(np.rint(approximate / step), -MIDDLE, SCORE_LEVELS) * step
    norm = float(np.linalg.norm(exact))
    return float(np.linalg.norm(approximate - exact)) / norm if norm else 0.0


def quantise_table(table: Array) -> tuple[Array, np.float32]:
    """Quantise a table to int8 with one scale, since QLinearMatMul with a matrix per head allows no more than one."""
    scale = np.float32(np.abs(table).max() / WEIGHT_LEVELS) or np.float32(1)
    return np.rint(table / scale).astype(np.int8), scale


def _scalar(net: GraphWriter, value: np.generic) -> ir.Value:
    return net.op.Constant(value=ir.tensor(value))
