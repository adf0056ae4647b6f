"""The interface that architecture files write their graphs with: a GraphWriter and a Precision for the weights.

One definition is written in three dialects:

- PORTABLE: standard ONNX operators only; inputs `input_ids` and `attention_mask`; padded rows allowed; any batch
  and length. Opset 20 is the newest that every TensorRT 10 release parses.
- CPU: for ONNX Runtime's CPU provider; may use com.microsoft operators; input `input_ids` only, because the runtime
  sends rows of equal length and never pads.
- KERNELS: for the operators of assay-kernels (domain `assay`). Rows of any lengths lie end to end: inputs `input_ids`
  [tokens] and `row_starts` [rows + 1], where each row starts and the last one ends. Hidden states are [tokens, hidden].
"""

from collections.abc import Callable, Sequence

import onnx_ir as ir

from assay_export.graphs.precision import Precision, TableProducts
from assay_export.graphs.weights import WeightFile
from assay_export.graphs.writer import Array, Dialect, Fusion, GraphWriter, Norm

__all__ = ["Net"]


class Net(GraphWriter):
    """One graph of an architecture, in one dialect and one precision."""

    def __init__(self, name: str, dialect: Dialect, weights: WeightFile, precision: Precision | None = None) -> None:
        super().__init__(name, dialect, weights)
        self._precision = precision or Precision()

    @property
    def masked(self) -> float:
        """The value that is added to the scores of masked keys."""
        return self._precision.masked

    def linear(self, x: ir.Value, name: str, weight: Array, bias: Array | None) -> ir.Value:
        """Write x [.., in] @ weight [in, out] + bias [out]."""
        if self.dialect is Dialect.KERNELS:
            return self._precision.fused_linear(self, x, name, weight, bias, Fusion())
        return self._precision.linear(self, x, name, weight, bias)

    def linear_parts(self, x: ir.Value, name: str, weight: Array, bias: Array | None, parts: int) -> Sequence[ir.Value]:
        """Write `linear` with its columns in `parts` equal pieces [.., out / parts]."""
        return self._precision.linear_parts(self, x, name, weight, bias, parts)

    def fused_linear(self, x: ir.Value, name: str, weight: Array, bias: Array | None, fusion: Fusion) -> ir.Value:
        """Write `linear` with the operations around it, as one operator in the kernels dialect."""
        if self.dialect is Dialect.KERNELS:
            return self._precision.fused_linear(self, x, name, weight, bias, fusion)
        if fusion.norm is not None:
            x = self.norm(x, fusion.norm)
        if fusion.gated:
            assert fusion.activation is not None
            activated, gate = self.linear_parts(x, name, weight, bias, 2)
            y = self.op.Mul(self.activation(activated, fusion.activation), gate)
        else:
            y = self.linear(x, name, weight, bias)
            if fusion.activation is not None:
                y = self.activation(y, fusion.activation)
        if fusion.residual is not None:
            y = self.op.Add(self.float32(y), fusion.residual)
        return y if fusion.post_norm is None else self.norm(y, fusion.post_norm)

    def embedding(self, token_ids: ir.Value, name: str, table: Array) -> ir.Value:
        """Look up the rows of a table [vocabulary, hidden] for token_ids [batch, sequence]."""
        return self._precision.embedding(self, token_ids, name, table)

    def normed_embedding(self, token_ids: ir.Value, name: str, table: Array, norm: Norm) -> ir.Value:
        """Write a normalised embedding."""
        if self.dialect is Dialect.KERNELS:
            return self._precision.normed_embedding(self, token_ids, name, table, norm)
        return self.norm(self.embedding(token_ids, name, table), norm)

    def table(self, name: str, array: Array) -> ir.Value:
        """Add a constant [.., rows, columns] that is added to activations or multiplied by them."""
        return self._precision.table(self, name, array)

    def factor(self, name: str, array: Array) -> ir.Value:
        """Add a small constant that activations are multiplied by, element by element, such as sines."""
        return self._precision.factor(self, name, array)

    def table_products(self, x: ir.Value, name: str, table: Array) -> TableProducts:
        """Prepare products of x [batch, heads, rows, size] with rows of a table [heads, table rows, size]."""
        return self._precision.table_products(self, x, name, table)

    def attention(self, name: str, write: Callable[[str], ir.Value]) -> ir.Value:
        """Write an attention operator of the kernels dialect; `write` takes its arithmetic, "float32" or "int8"."""
        return self._precision.attention(self, name, write)

    def key_mask_bias(self, attention_mask: ir.Value) -> ir.Value:
        """Compute a bias of 0 for real tokens and `masked` for padding, float32 [batch, 1, 1, key]."""
        is_real = self.op.Cast(attention_mask, to=ir.DataType.BOOL)
        bias = self.op.Where(is_real, 0.0, self.masked)
        return self.op.Unsqueeze(bias, [1, 2])
