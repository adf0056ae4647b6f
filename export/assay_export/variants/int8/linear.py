"""Linear layers with 8-bit weights for ONNX Runtime's CPU provider, and what replaces them where that hurts.

The pair that MLAS multiplies fastest is uint8 activations with int8 weights: com.microsoft.DynamicQuantizeMatMul takes
float32 activations, quantises them per tensor with a scale and zero point found at run time, multiplies with int8
weights that are symmetric per output column (zero point 0), and adds the bias (ContribOperators.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from assay_export.graphs.precision import Precision
from assay_export.graphs.writer import Array, GraphWriter

# The integers in use: -127..127, so that a column's scale is its largest weight / 127 and zero stays zero.
WEIGHT_LEVELS = 127
# MatMulNBits: weights in blocks of this many rows, each with a scale of its own.
BLOCK = 32


@dataclass(frozen=True)
class Recipe:
    """How one linear layer is computed.

    kind: "int8"; "columns" (int8, with the input columns `columns` multiplied in float32 beside it); "blockwise"
        (8-bit weights with a scale per block, MatMulNBits); "fp32".
    smoothing: divides the input and multiplies the weight's rows, float32 [in], or None. Exact in float32; moves
        outliers from the activations, which share one scale, to the weights, which do not (SmoothQuant,
        arXiv 2211.10438). Of a table of positions: divides queries and keys, float32 [2].
    absorbed: the division was folded into the weights that produce the input, so the graph does not show it.
    score_reach: of a table of positions, see int8/positions.py.
    activation_max: where the scale of the activations is fixed at export (int8/qdq.py), the largest |x| after smoothing
        that does not saturate.
    group: in the kernels dialect, how many input columns share a scale of the activations; 0 for a scale per row.
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
        return replace(self, kind=kind, columns=columns)

    def describe(self) -> str:
        """One phrase for the table of layers."""
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
    """weight [in, out] as int8 and its scale per output column, float32 [out]."""
    scale = np.abs(weight).max(axis=0).astype(np.float32) / np.float32(WEIGHT_LEVELS)
    scale[scale == 0] = 1
    return np.rint(weight / scale).astype(np.int8), scale


def quantise_rows(table: Array) -> tuple[Array, Array]:
    """table [rows, columns] as int8 and its scale per row, float32 [rows, 1]."""
    values, scale = quantise_columns(table.T)
    return np.ascontiguousarray(values.T), scale[:, None]


def quantise_blocks(rows: Array) -> tuple[Array, Array]:
    """rows [count, in] as integers in float32 [count, blocks, BLOCK], the last block filled with zeros, and their
    scales, float32 [count, blocks]."""
    count, width = rows.shape
    blocks = -(-width // BLOCK)
    padded = np.zeros((count, blocks * BLOCK), np.float32)
    padded[:, :width] = rows
    by_block = padded.reshape(count, blocks, BLOCK)
    scale = np.abs(by_block).max(axis=-1).astype(np.float32) / np.float32(WEIGHT_LEVELS)
    scale[scale == 0] = 1
    return np.rint(by_block / scale[..., None]), scale


def write(net: GraphWriter, x: ir.Value, name: str, weight: Array, bias: Array | None, recipe: Recipe) -> ir.Value:
    """x [.., in] @ weight [in, out] + bias as `recipe` says."""
    op = net.op
    x, weight = smoothed(net, x, name, weight, recipe)
    if recipe.kind == "fp32":
        return Precision().linear(net, x, name, weight, bias)
    if recipe.kind == "blockwise":
        return _blockwise(net, x, name, weight, bias)
    if recipe.kind != "columns":
        return _int8(net, x, name, weight, bias)
    kept = np.ones(len(weight), np.float32)
    kept[list(recipe.columns)] = 0
    rest = _int8(net, op.Mul(x, net.parameter(f"{name}.kept", kept)), name, weight * kept[:, None], bias)
    return op.Add(rest, product_of_columns(net, x, name, weight, recipe.columns))


def write_parts(
    net: GraphWriter, x: ir.Value, name: str, weight: Array, bias: Array | None, parts: int, recipe: Recipe
) -> Sequence[ir.Value]:
    """`write` of a plain int8 layer as `parts` products with the columns of one each.

    Quantising x again is less than Split's copy of all columns, on one thread: docs/performance.md.
    """
    x, weight = smoothed(net, x, name, weight, recipe)
    biases = [None] * parts if bias is None else np.split(bias, parts)
    columns = np.split(weight, parts, axis=1)
    return [
        _int8(net, x, f"{name}.{number}", np.ascontiguousarray(part), part_bias)
        for number, (part, part_bias) in enumerate(zip(columns, biases, strict=True))
    ]


def smoothed(net: GraphWriter, x: ir.Value, name: str, weight: Array, recipe: Recipe) -> tuple[ir.Value, Array]:
    """x and weight as `recipe` smooths them; x is divided here unless something before it was."""
    if recipe.smoothing is None:
        return x, weight
    if not recipe.absorbed:
        x = net.op.Mul(x, net.parameter(f"{name}.smoothing", 1 / recipe.smoothing))
    return x, weight * recipe.smoothing[:, None]


def product_of_columns(net: GraphWriter, x: ir.Value, name: str, weight: Array, columns: Sequence[int]) -> ir.Value:
    """Some input columns' part of x @ weight, in float32."""
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
        net.parameter(f"{name}.weight", (values + 128).astype(np.uint8)),  # its zero point for 8 bits is 128
        net.parameter(f"{name}.scale", scale.reshape(-1)),
    ]
    if bias is not None:
        inputs += [None, None, net.parameter(f"{name}.bias", bias)]
    attributes: dict[str, Any] = {"K": rows, "N": columns, "bits": 8, "block_size": BLOCK, "accuracy_level": 4}
    return net.microsoft("MatMulNBits", *inputs, like=x, last=columns, **attributes)
