"""How weights enter a graph: in float32 here. Each variant overrides what it computes in another type.

Residual sums, norms and softmax are float32 in every variant (`GraphWriter.float32`).
"""

import functools
from collections.abc import Callable, Sequence

import onnx_ir as ir

from assay_export.graphs.kernels.linear_weights import pack_float_weight
from assay_export.graphs.writer import MASKED, Array, Fusion, GraphWriter, Norm

__all__ = ["Precision", "TableProducts"]


class TableProducts:
    """Products of x [batch, heads, rows, size] with a table [heads, table rows, size], in float32.

    Callers may pad and reshape `x` and gather from `table` before they multiply, and rearrange the products before they
    sum them.
    """

    def __init__(self, net: GraphWriter, x: ir.Value, name: str, table: Array) -> None:
        self.net, self.x = net, x
        self.table = net.parameter(f"{name}.table", table)

    def multiply(self, x: ir.Value, table: ir.Value) -> ir.Value:
        """Multiply x [.., rows, size] by the transpose of table [.., table rows, size]."""
        return self.net.product_with_transposed(x, table)

    def sum(self, products: Sequence[ir.Value]) -> ir.Value:
        """Sum products of the same shape, in the type of activations."""
        return functools.reduce(self.net.op.Add, products)


class Precision:
    """Float32. Embeddings are float32 in every variant, whatever type their table has."""

    masked = MASKED

    def linear(self, net: GraphWriter, x: ir.Value, name: str, weight: Array, bias: Array | None) -> ir.Value:
        """Write x [.., in] @ weight [in, out] + bias [out]."""
        product = net.op.MatMul(x, net.parameter(f"{name}.weight", weight))
        return product if bias is None else net.op.Add(product, net.parameter(f"{name}.bias", bias))

    def linear_parts(
        self, net: GraphWriter, x: ir.Value, name: str, weight: Array, bias: Array | None, parts: int
    ) -> Sequence[ir.Value]:
        """Write `linear` with its columns in `parts` equal pieces [.., out / parts]."""
        whole = self.linear(net, x, name, weight, bias)
        pieces: Sequence[ir.Value] = net.op.Split(whole, axis=-1, num_outputs=parts, _outputs=parts)
        return pieces

    def fused_linear(
        self, net: GraphWriter, x: ir.Value, name: str, weight: Array, bias: Array | None, fusion: Fusion
    ) -> ir.Value:
        """Write `linear` with the operations around it, in the kernels dialect: x [tokens, in] to [tokens, out]."""
        packed = net.parameter(f"{name}.weight", pack_float_weight(weight, fusion.gated))
        inputs = [x, packed, net.optional_parameter(f"{name}.bias", bias)]
        return net.kernel_linear("FloatLinear", inputs, [], weight.shape, fusion, {})

    def normed_embedding(self, net: GraphWriter, token_ids: ir.Value, name: str, table: Array, norm: Norm) -> ir.Value:
        """Write a normalised embedding, in the kernels dialect."""
        return net.norm(self.embedding(net, token_ids, name, table), norm)

    def attention(self, net: GraphWriter, name: str, write: Callable[[str], ir.Value]) -> ir.Value:  # noqa: ARG002
        """Choose the arithmetic of an attention operator, "float32" or "int8", and let `write` write it."""
        return write("float32")

    def embedding(self, net: GraphWriter, token_ids: ir.Value, name: str, table: Array) -> ir.Value:
        """Look up the rows of `table` [vocabulary, hidden] for token_ids [batch, sequence]."""
        return net.op.Gather(net.parameter(name, table), token_ids)

    def table(self, net: GraphWriter, name: str, array: Array) -> ir.Value:
        """Add a constant [.., rows, columns] that is added to activations or multiplied by them."""
        return net.parameter(name, array)

    def factor(self, net: GraphWriter, name: str, array: Array) -> ir.Value:
        """Add a small constant that activations are multiplied by, element by element."""
        return net.parameter(name, array)

    def table_products(self, net: GraphWriter, x: ir.Value, name: str, table: Array) -> TableProducts:
        """Prepare the products of x [batch, heads, rows, size] with rows of a table [heads, table rows, size]."""
        return TableProducts(net, x, name, table)
