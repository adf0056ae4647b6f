"""What every architecture file writes its graph with: inputs, parameters, norms, activations and the Linear seam.

A thin layer over onnxscript's GraphBuilder, which promotes Python numbers and lists to constants and infers shapes
node by node. Two dialects of one definition exist:

- PORTABLE: standard ONNX operators only; inputs `input_ids` and `attention_mask`; padded rows allowed; any batch
  and length. Opset 20 is the newest that every TensorRT 10 release parses.
- CPU: for ONNX Runtime's CPU provider; may use com.microsoft operators; input `input_ids` only, because the runtime
  sends rows of equal length and never pads.
"""

import contextlib
import enum
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass
from onnxscript import GraphBuilder

from assay_export.graphs.weights import WeightFile

OPSET = 20
IR_VERSION = 10

Array = npt.NDArray[Any]

# Added to the score of a key that must not be seen; float32's lowest finite value, as torch.finfo(float32).min.
MASKED = float(np.finfo(np.float32).min)


class Dialect(enum.Enum):
    PORTABLE = "portable"
    CPU = "cpu"


class Net:
    """One ONNX graph being written."""

    def __init__(
        self,
        name: str,
        dialect: Dialect,
        weights: WeightFile,
        precision: "Precision | None" = None,
    ) -> None:
        graph = ir.Graph([], [], nodes=[], opset_imports={"": OPSET}, name=name)
        if dialect is Dialect.CPU:
            graph.opset_imports["com.microsoft"] = 1
        self.builder = GraphBuilder(graph)
        self.op = self.builder.op
        self.dialect = dialect
        self._weights = weights
        self._scopes: list[str] = []
        self._extra_outputs: list[tuple[str, ir.Value]] = []
        self._precision = precision or Precision()

    @contextlib.contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Nodes and parameters written inside get `name.` before their own name."""
        self.builder.push_module(name)
        self._scopes.append(name)
        try:
            yield
        finally:
            self._scopes.pop()
            self.builder.pop_module()

    def path(self, name: str) -> str:
        """`name` with the scopes it is written in: layers.3.mlp.Wo."""
        return ".".join([*self._scopes, name])

    def token_input(self, name: str) -> ir.Value:
        """A graph input of token ids or masks, int64 [batch, sequence]."""
        return self.builder.input(name, ir.DataType.INT64, ["batch", "sequence"])

    def parameter(self, name: str, array: Array) -> ir.Value:
        """A weight of the graph, stored in the bundle's external weight file when it is large."""
        return self.builder.initializer(self._weights.tensor(name, array), name=name)

    def table(self, name: str, array: Array) -> ir.Value:
        """A constant [.., rows, columns] that is no layer's weight, added to or multiplied with activations."""
        return self._precision.table(self, name, array)

    def factor(self, name: str, array: Array) -> ir.Value:
        """A small constant that activations are multiplied with element by element: sines, for instance."""
        return self._precision.factor(self, name, array)

    def table_products(self, x: ir.Value, name: str, table: Array) -> "TableProducts":
        """Prepares products of x [batch, heads, rows, size] with rows of a table [heads, table rows, size]."""
        return self._precision.table_products(self, x, name, table)

    def product_with_transposed(self, x: ir.Value, y: ir.Value) -> ir.Value:
        """x [.., rows, size] @ y [.., columns, size] transposed: [.., rows, columns]."""
        x, y = self.common(x, y)
        if self.dialect is Dialect.CPU:
            return self.microsoft(
                "FusedMatMul", x, y, like=x, last=y.shape[-2] if y.shape is not None else None, transB=1
            )
        return self.op.MatMul(x, self.transposed(y))

    def transposed(self, x: ir.Value) -> ir.Value:
        """The last two axes exchanged."""
        assert x.shape is not None
        *leading, rows, columns = range(len(x.shape))
        return self.op.Transpose(x, perm=[*leading, columns, rows])

    def cast(self, x: ir.Value, to: ir.DataType) -> ir.Value:
        """x in the type `to`, with a Cast where it has another. What has no type yet is float32 (`microsoft`)."""
        return x if (x.dtype or ir.DataType.FLOAT) is to else self.op.Cast(x, to=to)

    def float32(self, x: ir.Value) -> ir.Value:
        """x in float32: for residual sums, norms, softmax and whatever else no variant computes in less."""
        return self.cast(x, ir.DataType.FLOAT)

    def like(self, x: ir.Value, other: ir.Value) -> ir.Value:
        """x in the type of `other`."""
        return self.cast(x, other.dtype or ir.DataType.FLOAT)

    def common(self, *values: ir.Value) -> Sequence[ir.Value]:
        """Values for one operator: as they are where they have one type, else all in float32."""
        return values if len({value.dtype for value in values}) == 1 else [self.float32(value) for value in values]

    @property
    def masked(self) -> float:
        """Added to the score of a key that must not be seen."""
        return self._precision.masked

    def linear(self, x: ir.Value, name: str, weight: Array, bias: Array | None) -> ir.Value:
        """x [..., in] @ weight [in, out] + bias [out]."""
        return self._precision.linear(self, x, name, weight, bias)

    def linear_parts(self, x: ir.Value, name: str, weight: Array, bias: Array | None, parts: int) -> Sequence[ir.Value]:
        """`linear` with its columns in `parts` equal pieces [..., out / parts]."""
        return self._precision.linear_parts(self, x, name, weight, bias, parts)

    def embedding(self, token_ids: ir.Value, name: str, table: Array) -> ir.Value:
        """Rows of a table [vocabulary, hidden] for token_ids [batch, sequence]: [batch, sequence, hidden]."""
        return self._precision.embedding(self, token_ids, name, table)

    def layer_norm(self, x: ir.Value, name: str, gain: Array, bias: Array | None, epsilon: float) -> ir.Value:
        """Layer normalisation over the last axis."""
        inputs = [x, self.parameter(f"{name}.weight", gain)]
        if bias is not None:
            inputs.append(self.parameter(f"{name}.bias", bias))
        return self.op.LayerNormalization(*inputs, axis=-1, epsilon=epsilon)

    def activation(self, x: ir.Value, kind: str) -> ir.Value:
        """The activation that transformers calls `kind` (its ACT2FN table)."""
        return ACTIVATIONS[kind](self, x)

    def microsoft(
        self, op_type: str, *inputs: ir.Value | None, like: ir.Value, last: Any = None, **attributes: Any
    ) -> ir.Value:
        """A com.microsoft operator whose one output has the type and shape of `like`, but for a last axis of `last`.

        Its schema is not in onnx, so nothing is inferred from it.
        """
        value: Any = self.builder.call_op(op_type, inputs, attributes, domain="com.microsoft", version=1)
        value.type, value.shape = like.type, like.shape
        if last is not None and like.shape is not None:
            value.shape = ir.Shape([*like.shape[:-1], last])
        return value

    def length(self, token_ids: ir.Value) -> ir.Value:
        """The sequence length of [batch, sequence] as an int64 [1]."""
        return self.op.Shape(token_ids, start=1, end=2)

    def shape(self, *dims: int | ir.Value) -> ir.Value:
        """A shape for Reshape: Python ints and int64 [1] values, in order."""
        parts = [self.op.Constant(value_ints=[dim]) if isinstance(dim, int) else dim for dim in dims]
        return self.op.Concat(*parts, axis=0)

    def key_mask_bias(self, attention_mask: ir.Value) -> ir.Value:
        """0 where a key is a real token and `masked` where it is padding, float32 [batch, 1, 1, key]."""
        is_real = self.op.Cast(attention_mask, to=ir.DataType.BOOL)
        bias = self.op.Where(is_real, 0.0, self.masked)
        return self.op.Unsqueeze(bias, [1, 2])

    def observe(self, name: str, value: ir.Value) -> None:
        """Makes `value` an output of the graph as well: for calibration, never in a bundle."""
        self._extra_outputs.append((name, self.op.Identity(value)))

    def finish(self, logits: ir.Value) -> ir.Model:
        """Names the output, float32 [batch, labels], and returns the model."""
        assert logits.shape is not None  # inferred, since the classifier's weight is in the graph
        logits.shape = ir.Shape(["batch", logits.shape[-1]])
        self.builder.add_output(logits, "logits")
        for name, value in self._extra_outputs:
            self.builder.add_output(value, name)
        model = ir.Model(self.builder.graph, ir_version=IR_VERSION, producer_name="assay")
        # What a dialect prepared and no layer asked for (a one-layer model reads no row but the first, for instance).
        RemoveUnusedNodesPass()(model)
        return model


class TableProducts:
    """x [batch, heads, rows, size] and a table [heads, table rows, size], ready to be multiplied in float32.

    `x` may be padded and reshaped, `table` gathered from, before they are multiplied; the products may be copied about
    before they are summed.
    """

    def __init__(self, net: Net, x: ir.Value, name: str, table: Array) -> None:
        self.net, self.x = net, x
        self.table = net.parameter(f"{name}.table", table)

    def multiply(self, x: ir.Value, table: ir.Value) -> ir.Value:
        """x [.., rows, size] @ table [.., table rows, size] transposed."""
        return self.net.product_with_transposed(x, table)

    def sum(self, products: Sequence[ir.Value]) -> ir.Value:
        """The sum of products of one shape, in the type of activations."""
        return functools.reduce(self.net.op.Add, products)


class Precision:
    """The seam through which weights enter a graph: float32 here, and what another variant overrides.

    Residual sums, norms and softmax are float32 in every variant (`Net.float32`), and embeddings come out of here so.
    """

    masked = MASKED

    def linear(self, net: Net, x: ir.Value, name: str, weight: Array, bias: Array | None) -> ir.Value:
        """x [.., in] @ weight [in, out] + bias [out] or None."""
        product = net.op.MatMul(x, net.parameter(f"{name}.weight", weight))
        return product if bias is None else net.op.Add(product, net.parameter(f"{name}.bias", bias))

    def linear_parts(
        self, net: Net, x: ir.Value, name: str, weight: Array, bias: Array | None, parts: int
    ) -> Sequence[ir.Value]:
        """`linear` with its columns in `parts` equal pieces [.., out / parts]."""
        whole = self.linear(net, x, name, weight, bias)
        pieces: Sequence[ir.Value] = net.op.Split(whole, axis=-1, num_outputs=parts, _outputs=parts)
        return pieces

    def embedding(self, net: Net, token_ids: ir.Value, name: str, table: Array) -> ir.Value:
        """Rows of `table` [vocabulary, hidden] for token_ids [batch, sequence]."""
        return net.op.Gather(net.parameter(name, table), token_ids)

    def table(self, net: Net, name: str, array: Array) -> ir.Value:
        """A constant [.., rows, columns] that is added to or multiplied with activations."""
        return net.parameter(name, array)

    def factor(self, net: Net, name: str, array: Array) -> ir.Value:
        """A small constant that activations are multiplied with element by element."""
        return net.parameter(name, array)

    def table_products(self, net: Net, x: ir.Value, name: str, table: Array) -> TableProducts:
        """Products of x [batch, heads, rows, size] with rows of a table [heads, table rows, size]."""
        return TableProducts(net, x, name, table)


# transformers' names (ACT2FN) for what ONNX's Gelu calls approximate="none" and "tanh"; the other three are themselves.
ACTIVATIONS: dict[str, Callable[[Net, ir.Value], ir.Value]] = {
    "gelu": lambda net, x: net.op.Gelu(x),
    "gelu_new": lambda net, x: net.op.Gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda net, x: net.op.Gelu(x, approximate="tanh"),
    "relu": lambda net, x: net.op.Relu(x),
    "silu": lambda net, x: net.op.Mul(x, net.op.Sigmoid(x)),
    "tanh": lambda net, x: net.op.Tanh(x),
}
