"""The int8 graph for assay-kernels: packed weights for its Linear operator, int8 tables and embeddings.

The kernels quantise activations themselves, symmetrically per row of tokens, so that nothing a row is multiplied with
depends on the other rows of a call. Layouts are those of kernels/src/linear/linear_kernels.h.
"""

from collections.abc import Callable, Mapping

import numpy as np
import onnx_ir as ir

from assay_export.graphs.kernels.linear_weights import pack_columns, pack_weight, sum_columns
from assay_export.graphs.precision import Precision
from assay_export.graphs.writer import Array, Fusion, GraphWriter, Norm
from assay_export.variants.int8 import linear
from assay_export.variants.int8.linear import Recipe

__all__ = ["KernelInt8"]


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
        if self._recipes[net.path(name)].kind != "int8":
            return net.norm(self.embedding(net, token_ids, name, table), norm)
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
        if self._recipes[net.path(name)].kind == "fp16":
            return op.Cast(op.Gather(net.parameter(name, table.astype(np.float16)), token_ids), to=ir.DataType.FLOAT)
        values, scale = linear.quantise_rows(table)
        rows = op.Cast(op.Gather(net.parameter(name, values), token_ids), to=ir.DataType.FLOAT)
        return op.Mul(rows, op.Gather(net.parameter(f"{name}.scale", scale), token_ids))

    def attention(self, net: GraphWriter, name: str, write: Callable[[str], ir.Value]) -> ir.Value:
        return write("float32" if self._recipes[net.path(name)].kind == "fp32" else "int8")
