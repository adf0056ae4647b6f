"""The precision of the variant int8_qdq: linear layers with explicit quantisation, for TensorRT.

    x -> QuantizeLinear -> DequantizeLinear --\\
                                              MatMul -> Add(bias, float32)
    int8 weight -> DequantizeLinear ----------/

TensorRT fuses a product, the DequantizeLinear of its inputs and the bias into one int8 kernel. The documentation [1]
and the parser [2] require the following:

- Quantisation is symmetric int8: every zero point is 0, and every scale is a constant above 0.
- Activations have one scale per tensor, weights one per output channel (axis 1 of [in, out]).
- Quantised weights are int8 constants followed by a DequantizeLinear.
- Both inputs of a product are quantised and its output is not. The bias is a float.

Everything else is float32, as in the portable float32 graph: norms, softmax, GELU, and attention's products of
activations with each other and with the tables of positions. The token embeddings are float16 in the file and float32
after the lookup: scales per row cannot follow a Gather as a DequantizeLinear, and one scale for the table would be that
of its largest row.

[1] https://docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/quantized-types-explicit-quantization.html
[2] QuantDequantLinearHelper in https://github.com/onnx/onnx-tensorrt/blob/main/onnxOpImporters.cpp
"""

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from assay_export.graphs.precision import Precision
from assay_export.graphs.writer import Array, GraphWriter
from assay_export.variants.int8 import linear
from assay_export.variants.int8.linear import Recipe
from assay_export.variants.int8.providers.static_scales import compute_activation_scale

__all__ = ["Qdq", "write"]


class Qdq(Precision):
    """Linear layers by their recipes, each with its `activation_max`."""

    def __init__(self, recipes: Mapping[str, Recipe]) -> None:
        self._recipes = recipes

    def linear(self, net: GraphWriter, x: ir.Value, name: str, weight: Array, bias: Array | None) -> ir.Value:
        return write(net, x, name, weight, bias, self._recipes[net.path(name)])

    def embedding(self, net: GraphWriter, token_ids: ir.Value, name: str, table: Array) -> ir.Value:
        if np.abs(table).max() > np.finfo(np.float16).max:
            return super().embedding(net, token_ids, name, table)
        rows = net.op.Gather(net.parameter(name, table.astype(np.float16)), token_ids)
        return net.op.Cast(rows, to=ir.DataType.FLOAT)


def write(net: GraphWriter, x: ir.Value, name: str, weight: Array, bias: Array | None, recipe: Recipe) -> ir.Value:
    """Write x [..., in] @ weight [in, out] + bias by a recipe of kind "int8", "columns" or "fp32"."""
    op = net.op
    x, weight = linear.smooth(net, x, name, weight, recipe)
    if recipe.kind == "fp32":
        return Precision().linear(net, x, name, weight, bias)
    quantised = weight.copy()
    quantised[list(recipe.columns)] = 0  # the outliers saturate here, but their weights are zero
    values, scale = linear.quantise_columns(quantised)
    product = op.MatMul(
        _quantise(net, x, name, recipe.activation_max),
        op.DequantizeLinear(
            net.parameter(f"{name}.weight", values),
            net.parameter(f"{name}.weight.scale", scale),
            net.parameter(f"{name}.weight.zero_point", np.zeros(len(scale), np.int8)),
            axis=1,
        ),
    )
    if bias is not None:
        product = op.Add(product, net.parameter(f"{name}.bias", bias))
    if recipe.columns:
        product = op.Add(product, linear.write_columns(net, x, name, weight, recipe.columns))
    return product


def _quantise(net: GraphWriter, x: ir.Value, name: str, activation_max: float | None) -> ir.Value:
    """Write x rounded to int8 with a fixed scale, and dequantised again.

    The zero point is written even though it is 0. Without it QuantizeLinear returns uint8, and ONNX Runtime has a bug
    that moves DequantizeLinear past a Reshape (microsoft/onnxruntime#27845).
    """
    assert activation_max is not None  # filled in by static_scales.fit_static
    scale = net.parameter(f"{name}.input.scale", np.array(compute_activation_scale(activation_max)))
    zero_point = net.parameter(f"{name}.input.zero_point", np.array(0, np.int8))
    return net.op.DequantizeLinear(net.op.QuantizeLinear(x, scale, zero_point), scale, zero_point)
