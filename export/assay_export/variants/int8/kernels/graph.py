"""The int8 graph for assay-kernels: packed weights for its Linear operator, int8 tables and embeddings.

The kernels quantise activations themselves, symmetrically per row of tokens, so that nothing a row is multiplied with
depends on the other rows of a call. Layouts are those of kernels/src/linear/linear_kernels.h.
"""

from collections.abc import Callable, Mapping

import numpy as np
import onnx_ir as ir

from assay_export.graphs.precision import Precision
from assay_export.graphs.writer import Array, Fusion, GraphWriter, Norm
from assay_export.variants.int8 import linear
from assay_export.variants.int8.linear import Recipe

__all__ = ["KernelInt8", "pack_columns", "pack_weight", "sum_columns"]

PANEL = 64  # output columns of a panel
DEPTH = 64  # input columns are padded to a multiple of this
HALF_PANEL = 32  # of a gated layer: columns of each half in a panel


class KernelInt8(Precision):
    """Linear layers, embeddings and attention by their recipes, in the kernels dialect."""

    def __init__(self, recipes: Mapping[str, Recipe]) -> None:
        self._recipes = recipes

    def fused_linear(
        self, net: GraphWriter, x: ir.Value, name: str, weight: Array, bias: Array | None, fusion: Fusion
    ) -> ir.Value:
        recipe = self._recipes[net.path(name)]
        if recipe.smoothing is not None:  # what produces the input was divided by it
            weight = weight * recipe.smoothing[:, None]
        if recipe.kind == "fp32":
            return super().fused_linear(net, x, name, weight, bias, fusion)
        outliers = list(recipe.columns)
        kept = weight.copy()
        kept[outliers] = 0
        values, scale = linear.quantise_columns(kept)
        inputs = [
            x,
            net.parameter(f"{name}.weight", pack_weight(values, fusion.gated)),
            net.parameter(f"{name}.scale", scale),
            net.parameter(f"{name}.column_sum", sum_columns(values, recipe.group, fusion.gated)),
            net.optional_parameter(f"{name}.bias", bias),
        ]
        last_inputs: list[ir.Value | None] = []
        if outliers:
            last_inputs = [
                net.parameter(f"{name}.outlier_columns", np.array(outliers, np.int32)),
                net.parameter(f"{name}.outlier_weight", pack_columns(weight[outliers], fusion.gated)),
            ]
        return net.kernel_linear("Linear", inputs, last_inputs, weight.shape, fusion, {"group": recipe.group})

    def normed_embedding(self, net: GraphWriter, token_ids: ir.Value, name: str, table: Array, norm: Norm) -> ir.Value:
        values, scale = linear.quantise_rows(table)
        gain, bias = net.norm_parameters(norm)
        return net.kernel(
            "EmbeddingNorm",
            token_ids,
            net.parameter(name, values),
            net.parameter(f"{name}.scale", scale.reshape(-1)),
            gain,
            bias,
            shape=["tokens", table.shape[1]],
            epsilon=norm.epsilon,
        )

    def embedding(self, net: GraphWriter, token_ids: ir.Value, name: str, table: Array) -> ir.Value:
        op = net.op
        values, scale = linear.quantise_rows(table)
        rows = op.Cast(op.Gather(net.parameter(name, values), token_ids), to=ir.DataType.FLOAT)
        return op.Mul(rows, op.Gather(net.parameter(f"{name}.scale", scale), token_ids))

    def attention(self, net: GraphWriter, name: str, write: Callable[[str], ir.Value]) -> ir.Value:
        return write("float32" if self._recipes[net.path(name)].kind == "fp32" else "int8")


def pack_weight(values: Array, gated: bool = False) -> Array:
    """int8 [in, out] as [panels, in / 4, 64, 4], padded with zeros."""
    columns = pack_columns(values, gated)
    padded = np.zeros((-(-len(values) // DEPTH) * DEPTH, columns.shape[1]), np.int8)
    padded[: len(values)] = columns
    by_panel = padded.reshape(len(padded) // 4, 4, -1, PANEL)
    return np.ascontiguousarray(by_panel.transpose(2, 0, 3, 1))


def sum_columns(values: Array, group: int, gated: bool = False) -> Array:
    """Sums of int8 [in, out] over each group of input columns (0: all of them), int32 [groups, padded out]."""
    columns = pack_columns(values.astype(np.int32), gated)
    starts = np.arange(0, len(values), group or len(values))
    return np.add.reduceat(columns, starts, axis=0).astype(np.int32)


def pack_columns(values: Array, gated: bool = False) -> Array:
    """[rows, out] with the columns in the order of the panels, padded with zeros.

    A panel of a gated layer has 32 columns of the half that is activated, then the 32 that they are multiplied with.
    """
    if not gated:
        return _pad_columns(values, PANEL)
    halves = [_pad_columns(half, HALF_PANEL) for half in np.split(values, 2, axis=1)]
    by_panel = [half.reshape(len(values), -1, 1, HALF_PANEL) for half in halves]
    return np.concatenate(by_panel, axis=2).reshape(len(values), -1)


def _pad_columns(values: Array, multiple: int) -> Array:
    return np.pad(values, ((0, 0), (0, -values.shape[1] % multiple)))
