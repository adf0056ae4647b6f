"""Linear layers with 8-bit weights for ONNX Runtime's CPU provider, and more exact recipes for layers that need them.

MLAS multiplies fastest with uint8 activations and int8 weights. com.microsoft.DynamicQuantizeMatMul quantises float32
activations per tensor with a scale and zero point found at run time, multiplies them with int8 weights that are
symmetric per output column (zero point 0), and adds the bias (ContribOperators.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from assay_export.graphs.precision import Precision
from assay_export.graphs.writer import Array, GraphWriter

__all__ = [
    "BLOCK",
    "WEIGHT_LEVELS",
    "Recipe",
    "quantise_blocks",
    "quantise_columns",
    "quantise_rows",
    "smooth",
    "write",
    "write_columns",
    "write_parts",
]

WEIGHT_LEVELS = 127
"""Weights are quantised to -127..127, so a column's scale is its largest |weight| / 127 and zero stays zero."""

BLOCK = 32
"""Rows of a weight that share a scale in MatMulNBits."""


@dataclass(frozen=True)
class Recipe:
    """How one linear layer, or the products with one table of positions, are computed.

    Attributes:
        kind: "int8"; "columns", int8 with the input columns `columns` multiplied in float32; "blockwise", 8-bit weights
            with a scale per block (MatMulNBits); or "fp32".
        smoothing: Divides the input and multiplies the rows of the weight, float32 [in], or None. It is exact in
            float32, and moves outliers from the activations, which share one scale, to the weights, which have one per
            column (SmoothQuant, arXiv 2211.10438). For a table of positions it divides queries and keys, float32 [2].
        absorbed: Whether the division is folded into the weights that produce the input, so it is not in the graph.
        columns: The input columns that are multiplied in float32.
        alpha: The exponent that `smoothing` was computed with, for reports.
        score_reach: For a table of positions; see int8/providers/positions.py.
        activation_max: If the scale of the activations is fixed at export (int8/providers/qdq.py), the largest |x|
            after smoothing that does not saturate.
        group: In the kernels dialect, how many input columns share a scale of the activations; 0 for a scale per row.
    """

    kind: str = "int8"
    smoothing: Array | None = None
    absorbed: bool = False
    columns: tuple[int, ...] = ()
    alpha: float | None = None
    score_reach: float = 0.0
    activation_max: float | None = None
    group: int = 0

    def escalated(self, kind: str, columns: tuple[int, ...] = ()) -> "Recipe":
        """Return this recipe with another kind, and the given float32 columns."""
        return replace(self, kind=kind, columns=columns)

    def describe(self) -> str:
        """Return one phrase for the manifest's table of layers."""
        how = self.kind
        if self.smoothing is not None:
            how += f", smoothed {'before it' if self.absorbed else 'by a division'}"
        if self.alpha is not None:
            how += f" (alpha {self.alpha:g})"
        if self.columns:
            how += f", {len(self.columns)} input columns in fp32"
        if self.activation_max is not None:
            how += f", |x| up to {self.activation_max:.3g}"
        return how


def quantise_columns(weight: Array) -> tuple[Array, Array]:
    """Quantise a weight [in, out] to int8, and return it with its scales per output column, float32 [out]."""
    scale = np.abs(weight).max(axis=0).astype(np.float32) / np.float32(WEIGHT_LEVELS)
    scale[scale == 0] = 1
    return np.rint(weight / scale).astype(np.int8), scale


def quantise_rows(table: Array) -> tuple[Array, Array]:
    """Quantise a table [rows, columns] to int8, and return it with its scales per row, float32 [rows, 1]."""
    values, scale = quantise_columns(table.T)
    return np.ascontiguousarray(values.T), scale[:, None]


def quantise_blocks(rows: Array) -> tuple[Array, Array]:
    """Quantise rows [count, in] to 8 bits with a scale per block.

    Returns:
        The integers in float32 [count, blocks, BLOCK], with the last block padded by zeros, and the scales, float32
        [count, blocks].
    """
    count, width = rows.shape
    blocks = -(-width // BLOCK)
    padded = np.zeros((count, blocks * BLOCK), np.float32)
    padded[:, :width] = rows
    by_block = padded.reshape(count, blocks, BLOCK)
    scale = np.abs(by_block).max(axis=-1).astype(np.float32) / np.float32(WEIGHT_LEVELS)
    scale[scale == 0] = 1
    return np.rint(by_block / scale[..., None]), scale


def write(net: GraphWriter, x: ir.Value, name: str, weight: Array, bias: Array | None, recipe: Recipe) -> ir.Value:
    """Write x [..., in] @ weight [in, out] + bias by the recipe."""
    op = net.op
    x, weight = smooth(net, x, name, weight, recipe)
    if recipe.kind == "fp32":
        return Precision().linear(net, x, name, weight, bias)
    if recipe.kind == "blockwise":
        return _blockwise(net, x, name, weight, bias)
    if recipe.kind != "columns":
        return _int8(net, x, name, weight, bias)
    kept = np.ones(len(weight), np.float32)
    kept[list(recipe.columns)] = 0
    rest = _int8(net, op.Mul(x, net.parameter(f"{name}.kept", kept)), name, weight * kept[:, None], bias)
    return op.Add(rest, write_columns(net, x, name, weight, recipe.columns))


def write_parts(
    net: GraphWriter, x: ir.Value, name: str, weight: Array, bias: Array | None, parts: int, recipe: Recipe
) -> Sequence[ir.Value]:
    """Write a plain int8 layer as `parts` products, each with an equal share of the columns.

    On one thread, quantising x for each product costs less than copying all columns in a Split
    (docs/measurements/performance.md).
    """
    x, weight = smooth(net, x, name, weight, recipe)
    biases = [None] * parts if bias is None else np.split(bias, parts)
    columns = np.split(weight, parts, axis=1)
    return [
        _int8(net, x, f"{name}.{number}", np.ascontiguousarray(part), part_bias)
        for number, (part, part_bias) in enumerate(zip(columns, biases, strict=True))
    ]


def smooth(net: GraphWriter, x: ir.Value, name: str, weight: Array, recipe: Recipe) -> tuple[ir.Value, Array]:
    """Return x and weight smoothed by the recipe. The division of x is written here unless it has been absorbed."""
    if recipe.smoothing is None:
        return x, weight
    if not recipe.absorbed:
        x = net.op.Mul(x, net.parameter(f"{name}.smoothing", 1 / recipe.smoothing))
    return x, weight * recipe.smoothing[:, None]


def write_columns(net: GraphWriter, x: ir.Value, name: str, weight: Array, columns: Sequence[int]) -> ir.Value:
    """Write the part of x @ weight that belongs to some of the input columns, in float32."""
    chosen = np.array(columns, np.int64)
    return net.op.MatMul(
        net.op.Gather(x, net.parameter(f"{name}.columns", chosen), axis=-1),
        net.parameter(f"{name}.columns.weight", weight[chosen]),
    )


def _int8(net: GraphWriter, x: ir.Value, name: str, weight: Array, bias: Array | None) -> ir.Value:
    values, scale = quantise_columns(weight)
    inputs: list[ir.Value | None] = [x, net.parameter(f"{name}.weight", values), net.parameter(f"{name}.scale", scale)]
    if bias is not None:
        inputs += [None, net.parameter(f"{name}.bias", bias)]  # no zero points: the weights are symmetric
    return net.microsoft("DynamicQuantizeMatMul", *inputs, like=x, last=weight.shape[1])


def _blockwise(net: GraphWriter, x: ir.Value, name: str, weight: Array, bias: Array | None) -> ir.Value:
    rows, columns = weight.shape
    values, scale = quantise_blocks(weight.T)
    inputs: list[ir.Value | None] = [
        x,
        net.parameter(
            f"{name}.weight", (values + 128).astype(np.uint8)
        ),  # the operator's default zero point for 8 bits is 128
        net.parameter(f"{name}.scale", scale.reshape(-1)),
    ]
    if bias is not None:
        inputs += [None, None, net.parameter(f"{name}.bias", bias)]
    attributes: dict[str, Any] = {"K": rows, "N": columns, "bits": 8, "block_size": BLOCK, "accuracy_level": 4}
    return net.microsoft("MatMulNBits", *inputs, like=x, last=columns, **attributes)
