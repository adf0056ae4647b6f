"""Write one ONNX graph: inputs, parameters, casts, norms, activations, and operators outside the standard.

A thin layer over onnxscript's GraphBuilder, which promotes Python numbers and lists to constants and infers shapes node
by node. net.py adds the seam through which weights enter a graph.
"""

import contextlib
import enum
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass
from onnxscript import GraphBuilder

from assay_export.graphs.weights import WeightFile

__all__ = ["ACTIVATIONS", "MASKED", "Array", "Dialect", "Fusion", "GraphWriter", "Norm"]

OPSET = 20
IR_VERSION = 10
KERNEL_DOMAIN = "assay"

Array = npt.NDArray[Any]

# Added to the scores of masked keys: the lowest finite float32, as torch.finfo(float32).min.
MASKED = float(np.finfo(np.float32).min)


class Dialect(enum.Enum):
    PORTABLE = "portable"
    CPU = "cpu"
    KERNELS = "kernels"


@dataclass(frozen=True)
class Norm:
    """A layer normalisation over the last axis: its name in the graph, gain [hidden], bias [hidden] or None."""

    name: str
    gain: Array
    bias: Array | None
    epsilon: float


@dataclass(frozen=True)
class Fusion:
    """The operations around a linear layer that a kernel computes in the same pass over the rows.

    Attributes:
        norm: Normalises the input.
        activation: Applied to the product (a key of ACTIVATIONS).
        gated: The first half of the columns is activated and multiplied by the second half.
        residual: Added to the result, in float32.
        post_norm: Normalises that sum.
    """

    norm: Norm | None = None
    activation: str | None = None
    gated: bool = False
    residual: ir.Value | None = None
    post_norm: Norm | None = None


class GraphWriter:
    """One ONNX graph being written."""

    def __init__(self, name: str, dialect: Dialect, weights: WeightFile) -> None:
        graph = ir.Graph([], [], nodes=[], opset_imports={"": OPSET}, name=name)
        if dialect is not Dialect.PORTABLE:
            graph.opset_imports["com.microsoft"] = 1
        if dialect is Dialect.KERNELS:
            graph.opset_imports[KERNEL_DOMAIN] = 1
        self.builder = GraphBuilder(graph)
        self.op = self.builder.op
        self.dialect = dialect
        self._weights = weights
        self._scopes: list[str] = []
        self._extra_outputs: list[tuple[str, ir.Value]] = []

    @contextlib.contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Prefix the names of nodes and parameters written inside with `name.`."""
        self.builder.push_module(name)
        self._scopes.append(name)
        try:
            yield
        finally:
            self._scopes.pop()
            self.builder.pop_module()

    def path(self, name: str) -> str:
        """Return `name` with the scopes around it, such as layers.3.mlp.Wo."""
        return ".".join([*self._scopes, name])

    def token_input(self, name: str) -> ir.Value:
        """Add a graph input of token ids or masks, int64 [batch, sequence]."""
        return self.builder.input(name, ir.DataType.INT64, ["batch", "sequence"])

    def packed_inputs(self) -> tuple[ir.Value, ir.Value]:
        """Add the inputs of the kernels dialect: token ids int64 [tokens] and row starts int64 [rows + 1]."""
        return (
            self.builder.input("input_ids", ir.DataType.INT64, ["tokens"]),
            self.builder.input("row_starts", ir.DataType.INT64, ["starts"]),
        )

    def first_tokens(self, hidden: ir.Value, row_starts: ir.Value) -> ir.Value:
        """Select the first token of each packed row: [tokens, hidden] to [rows, hidden]."""
        return self.op.Gather(hidden, self.op.Slice(row_starts, [0], [-1], [0]), axis=0)

    def packed_token_types(self) -> ir.Value:
        """Add the input token_type_ids of the kernels dialect, int64 [tokens]."""
        return self.builder.input("token_type_ids", ir.DataType.INT64, ["tokens"])

    def rows_of_tokens(self, input_ids: ir.Value, row_starts: ir.Value) -> ir.Value:
        """Compute the number of the row that each packed token belongs to, int64 [tokens]."""
        op = self.op
        later = op.Slice(row_starts, [1], [-1], [0])
        ones = op.Expand(op.Constant(value_ints=[1]), op.Shape(later))
        return op.CumSum(op.ScatterElements(op.Mul(input_ids, 0), later, ones, axis=0), 0)

    def bounds_of_rows(self, input_ids: ir.Value, row_starts: ir.Value) -> tuple[ir.Value, ir.Value]:
        """Compute for each packed token where its row starts and where it ends, each int64 [tokens]."""
        row = self.rows_of_tokens(input_ids, row_starts)
        return self.op.Gather(row_starts, row), self.op.Gather(row_starts, self.op.Add(row, 1))

    def positions_in_rows(self, input_ids: ir.Value, row_starts: ir.Value) -> ir.Value:
        """Compute the position of each packed token in its row, int64 [tokens]."""
        op = self.op
        tokens = op.Squeeze(op.Shape(input_ids))
        return op.Sub(op.Range(0, tokens, 1), op.Gather(row_starts, self.rows_of_tokens(input_ids, row_starts)))

    def parameter(self, name: str, array: Array) -> ir.Value:
        """Add a weight to the graph. A large one is stored in the external weight file."""
        return self.builder.initializer(self._weights.tensor(name, array), name=name)

    def optional_parameter(self, name: str, array: Array | None) -> ir.Value | None:
        """Add a weight unless there is none."""
        return None if array is None else self.parameter(name, array)

    def product_with_transposed(self, x: ir.Value, y: ir.Value) -> ir.Value:
        """Multiply x [.., rows, size] by the transpose of y [.., columns, size]: [.., rows, columns]."""
        x, y = self.common(x, y)
        if self.dialect is Dialect.CPU:
            return self.microsoft(
                "FusedMatMul", x, y, like=x, last=y.shape[-2] if y.shape is not None else None, transB=1
            )
        return self.op.MatMul(x, self.transpose_last(y))

    def transpose_last(self, x: ir.Value) -> ir.Value:
        """Exchange the last two axes."""
        assert x.shape is not None
        *leading, rows, columns = range(len(x.shape))
        return self.op.Transpose(x, perm=[*leading, columns, rows])

    def cast(self, x: ir.Value, to: ir.DataType) -> ir.Value:
        """Cast x to the type `to` unless it has it. A value without a type is float32 (see `microsoft`)."""
        return x if (x.dtype or ir.DataType.FLOAT) is to else self.op.Cast(x, to=to)

    def float32(self, x: ir.Value) -> ir.Value:
        """Cast x to float32: for residual sums, norms and softmax, which are float32 in every variant."""
        return self.cast(x, ir.DataType.FLOAT)

    def like(self, x: ir.Value, other: ir.Value) -> ir.Value:
        """Cast x to the type of `other`."""
        return self.cast(x, other.dtype or ir.DataType.FLOAT)

    def common(self, *values: ir.Value) -> Sequence[ir.Value]:
        """Cast the inputs of one operator to float32 unless they have the same type."""
        return values if len({value.dtype for value in values}) == 1 else [self.float32(value) for value in values]

    def norm(self, x: ir.Value, norm: Norm) -> ir.Value:
        """Normalise over the last axis."""
        gain, bias = self.norm_parameters(norm)
        if self.dialect is Dialect.KERNELS:
            return self.kernel("LayerNorm", x, gain, bias, shape=x.shape, epsilon=norm.epsilon)
        inputs = [x, gain] if bias is None else [x, gain, bias]
        return self.op.LayerNormalization(*inputs, axis=-1, epsilon=norm.epsilon)

    def norm_parameters(self, norm: Norm) -> tuple[ir.Value, ir.Value | None]:
        """Add the gain and bias of a layer normalisation to the graph."""
        bias = None if norm.bias is None else self.parameter(f"{norm.name}.bias", norm.bias)
        return self.parameter(f"{norm.name}.weight", norm.gain), bias

    def activation(self, x: ir.Value, kind: str) -> ir.Value:
        """Apply the activation that transformers calls `kind` (its ACT2FN table)."""
        return ACTIVATIONS[kind](self, x)

    def microsoft(
        self, op_type: str, *inputs: ir.Value | None, like: ir.Value, last: Any = None, **attributes: Any
    ) -> ir.Value:
        """Add a com.microsoft operator with one output.

        The output has the type and shape of `like`, with a last axis of `last` if given: onnx has no schema of these
        operators to infer them from.
        """
        value: Any = self.builder.call_op(op_type, inputs, attributes, domain="com.microsoft", version=1)
        value.type, value.shape = like.type, like.shape
        if last is not None and like.shape is not None:
            value.shape = ir.Shape([*like.shape[:-1], last])
        return value

    def kernel_linear(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        last_inputs: Sequence[ir.Value | None],
        shape: tuple[int, ...],
        fusion: Fusion,
        attributes: dict[str, Any],
    ) -> ir.Value:
        """Add a linear operator of assay-kernels. The inputs of `fusion` go between `inputs` and `last_inputs`."""
        width_in, width_out = shape
        norm = fusion.norm or fusion.post_norm
        gain, norm_bias = (None, None) if norm is None else self.norm_parameters(norm)
        activation = fusion.activation or "none"
        activation = KERNEL_ACTIVATIONS.get(activation, activation)
        epilogue = "none" if fusion.residual is None else "add" if fusion.post_norm is None else "add_layer_norm"
        assert inputs[0] is not None
        assert inputs[0].shape is not None
        return self.kernel(
            op_type,
            *inputs,
            fusion.residual,
            gain,
            norm_bias,
            *last_inputs,
            shape=[inputs[0].shape[0], width_out // 2 if fusion.gated else width_out],
            K=width_in,
            N=width_out,
            prologue="none" if fusion.norm is None else "layer_norm",
            activation=f"geglu_{activation}" if fusion.gated else activation,
            epilogue=epilogue,
            epsilon=1.0 if norm is None else norm.epsilon,
            **attributes,
        )

    def kernel(self, op_type: str, *inputs: ir.Value | None, shape: Any, **attributes: Any) -> ir.Value:
        """Add an operator of assay-kernels (kernels/src/ops) with one output, float32 of `shape`."""
        values = list(inputs)
        while values and values[-1] is None:  # an absent optional input at the end is left out
            values.pop()
        value: Any = self.builder.call_op(op_type, values, attributes, domain=KERNEL_DOMAIN, version=1)
        value.type, value.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape(shape)
        return value

    def length(self, token_ids: ir.Value) -> ir.Value:
        """Compute the sequence length of [batch, sequence] as an int64 [1]."""
        return self.op.Shape(token_ids, start=1, end=2)

    def shape(self, *dims: int | ir.Value) -> ir.Value:
        """Concatenate Python ints and int64 [1] values to a shape for Reshape."""
        parts = [self.op.Constant(value_ints=[dim]) if isinstance(dim, int) else dim for dim in dims]
        return self.op.Concat(*parts, axis=0)

    def observe(self, name: str, value: ir.Value) -> None:
        """Make `value` an output of the graph, for calibration. Graphs of a bundle have none."""
        self._extra_outputs.append((name, self.op.Identity(value)))

    def finish(self, logits: ir.Value) -> ir.Model:
        """Name the output, float32 [rows, labels], and return the model."""
        assert logits.shape is not None  # inferred, since the classifier's weight is in the graph
        logits.shape = ir.Shape(["rows" if self.dialect is Dialect.KERNELS else "batch", logits.shape[-1]])
        self.builder.add_output(logits, "logits")
        for name, value in self._extra_outputs:
            self.builder.add_output(value, name)
        model = ir.Model(self.builder.graph, ir_version=IR_VERSION, producer_name="assay")
        # Some of the values that are computed once for all layers may have no user, for example in a one-layer model.
        RemoveUnusedNodesPass()(model)
        return model


# The names of activations in assay-kernels, where they differ from those of ACTIVATIONS.
KERNEL_ACTIVATIONS = {"gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh"}

# transformers' names (ACT2FN) for what ONNX's Gelu calls approximate="none" and "tanh"; the other three are themselves.
ACTIVATIONS: dict[str, Callable[[GraphWriter, ir.Value], ir.Value]] = {
    "gelu": lambda net, x: net.op.Gelu(x),
    "gelu_new": lambda net, x: net.op.Gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda net, x: net.op.Gelu(x, approximate="tanh"),
    "relu": lambda net, x: net.op.Relu(x),
    "silu": lambda net, x: net.op.Mul(x, net.op.Sigmoid(x)),
    "tanh": lambda net, x: net.op.Tanh(x),
}
