"""Check whether TensorRT 10 can build a graph, as far as that can be checked without a GPU.

Five rules are checked on the .onnx file alone, without reading weights in external data:

1. The graph uses standard operators, in an opset that every TensorRT 10 reads, and no local functions.
2. TensorRT's ONNX parser lists the operators and the types of their tensors (operators.py). The list's restrictions on
   constants, outputs and zero points apply. Its restrictions on attributes that these graphs do not use are not
   checked.
3. There is no control flow. Shapes depend on constants and on the shapes of the inputs, never on values.
4. Integer arithmetic is used for shapes only: a result of Add, Sub, Mul, ... on int64 or int32 may end in an argument
   that determines a shape (of Reshape, Slice, Expand, Range, ...), and nowhere else. Not counted as arithmetic are
   token ids as indices of a Gather, masks that are cast, and indices that are read from a constant.
5. onnx's shape inference finds a type and a rank for every tensor (ONNX Runtime's TensorRT provider refuses graphs that
   lack one it needs), and every dimension follows from the sizes of the inputs (static_shapes.py), from one token to
   the longest input.

A graph that passes has not been built by TensorRT. That needs a GPU.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import TensorProto, numpy_helper

from assay_export.errors import ExportError
from assay_export.tensorrt import static_shapes, value_flow
from assay_export.tensorrt.operators import (
    CONSTANT_INPUTS,
    DATA_DEPENDENT,
    FIRST_OUTPUT_ONLY,
    OPERATORS,
    OPSETS,
    TENSOR_TYPES,
)

__all__ = ["Finding", "check", "lint"]

# The greatest length at which shapes are inferred, if the model reads as many tokens. It is longer than ModernBERT's
# window and most tables of distances, and unlikely to equal a constant of the graph by chance.
LONGEST = 601
# Weights inside the .onnx file are dropped before shape inference from this size on.
LARGE_BYTES = 1 << 20


@dataclass(frozen=True)
class Finding:
    """Something that TensorRT 10 may not accept.

    Attributes:
        node: The name of the node, or of the input, output, function or graph.
        operator: The node's operator, or what kind of thing `node` names.
        problem: What is wrong.
        remedy: How to write the graph instead.
    """

    node: str
    operator: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.operator} {self.node!r}: {self.problem}; {self.remedy}"


def check(path: Path, graph: str, max_length: int, *, refuse: bool = True) -> list[str]:
    """Check a graph and return the findings, one line each, as the manifest stores them.

    Args:
        path: The .onnx file.
        graph: The graph's name in messages, such as "onnx/model.onnx".
        max_length: The longest input in tokens.
        refuse: Whether findings are an error, as in an authored graph, or only recorded.

    Raises:
        ExportError: `refuse` is set and there are findings. The message names the first, and counts the others.
    """
    found = lint(path, max_length)
    if found and refuse:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise ExportError(
            f"{graph} contains something that TensorRT 10 does not accept: {found[0]}{more}. Nothing was written. "
            "Please report this with the checkpoint's config.json"
        )
    return [str(finding) for finding in found]


def lint(path: Path, max_length: int = LONGEST) -> list[Finding]:
    """Find everything in a graph that TensorRT 10 may not accept, by the rules in this module's docstring.

    Args:
        path: The .onnx file. Of its external data, only zero points are read.
        max_length: The longest input in tokens.
    """
    model = onnx.load(path, load_external_data=False)
    found = [*_imports(model), *_operators(model)]
    if found:
        return found  # onnx cannot infer types and shapes of operators outside the standard
    for tensor in model.graph.initializer:
        # Inference copies the model more than once. Large weights are not needed for shapes, so they are dropped.
        if len(tensor.raw_data) > LARGE_BYTES:
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
    try:
        typed = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        return [
            Finding(
                model.graph.name, "graph", " ".join(str(error).split()), "correct the types and shapes of its nodes"
            )
        ]
    graph = _Graph(typed, path.parent)
    return [
        *_types(graph),
        *_restrictions(graph),
        *_values(graph),
        *_shapes(graph, max_length),
    ]


class _Graph:
    """A model of standard operators, with the inferred types of its tensors."""

    def __init__(self, model: onnx.ModelProto, folder: Path) -> None:
        self.model, self.folder = model, folder
        self.nodes = list(model.graph.node)
        self.opset = _opset(model)
        self.constants: dict[str, TensorProto | None] = {tensor.name: tensor for tensor in model.graph.initializer}
        for node in self.nodes:
            if node.op_type == "Constant":
                self.constants[node.output[0]] = next((a.t for a in node.attribute if a.name == "value"), None)
        self.types: dict[str, int] = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
        self.ranked: set[str] = set(self.types)
        for item in (*model.graph.input, *model.graph.value_info, *model.graph.output):
            self.types[item.name] = item.type.tensor_type.elem_type
            if item.type.tensor_type.HasField("shape"):
                self.ranked.add(item.name)

    def is_zero(self, name: str) -> bool:
        """Return whether all elements of a constant tensor are zero."""
        tensor = self.constants[name]
        return tensor is not None and not numpy_helper.to_array(tensor, str(self.folder)).any()


def _opset(model: onnx.ModelProto) -> int:
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    return versions[0] if versions else 0


def _name(node: onnx.NodeProto) -> str:
    return node.name or next(filter(None, node.output), "")


def _type(element: int) -> str:
    return TensorProto.DataType.Name(element) if element else "of a type that inference cannot find"


def _imports(model: onnx.ModelProto) -> Iterator[Finding]:
    version = _opset(model)
    if version not in OPSETS:
        yield Finding(
            model.graph.name,
            "graph",
            f"uses opset {version}, expected {OPSETS[0]} to {OPSETS[-1]}, which every TensorRT 10 reads",
            f"use opset {OPSETS[-1]}",
        )
    for function in model.functions:
        yield Finding(
            function.name, "function", "is local to the graph, so it is not a standard operator", "inline its nodes"
        )


def _operators(model: onnx.ModelProto) -> Iterator[Finding]:
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx"):
            yield Finding(
                _name(node),
                f"{node.domain}.{node.op_type}",
                "is not a standard operator",
                "use operators of the domain ai.onnx",
            )
        elif node.op_type in DATA_DEPENDENT:
            yield Finding(
                _name(node),
                node.op_type,
                "is control flow, or its output shape depends on values",
                "mask with Where instead of selecting, and evaluate conditions on the config at export",
            )
        elif node.op_type not in OPERATORS or not onnx.defs.has(node.op_type, _opset(model), ""):
            yield Finding(
                _name(node),
                node.op_type,
                "is not among the operators that every TensorRT 10 lists",
                "use operators that are listed in tensorrt/operators.py",
            )


def _types(graph: _Graph) -> Iterator[Finding]:
    for item in (*graph.model.graph.input, *graph.model.graph.output):
        if graph.types[item.name] not in TENSOR_TYPES:
            yield Finding(item.name, "input or output", f"is {_type(graph.types[item.name])}", "use FLOAT or INT64")
    for node in graph.nodes:
        allowed, schema = OPERATORS[node.op_type], onnx.defs.get_schema(node.op_type, graph.opset)
        listed = ", ".join(map(_type, sorted(allowed)))
        for position, name in enumerate(node.input):
            formal = schema.inputs[min(position, len(schema.inputs) - 1)]
            is_index = set(formal.types) <= {"tensor(int32)", "tensor(int64)", "tensor(bool)"}
            found = graph.types.get(name, 0)
            if name and not is_index and found not in allowed:
                yield Finding(
                    _name(node),
                    node.op_type,
                    f"reads {name!r}, which is {_type(found)}, but TensorRT 10 lists the operator for {listed}",
                    "cast its input, or store the constant as FLOAT",
                )
        for name in filter(None, node.output):
            found = graph.types.get(name, 0)
            if found not in TENSOR_TYPES:
                yield Finding(
                    _name(node),
                    node.op_type,
                    f"writes {name!r}, which is {_type(found)}, a type that TensorRT 10 does not compute in",
                    "use FLOAT, or INT64 for shapes and ids",
                )


def _restrictions(graph: _Graph) -> Iterator[Finding]:
    for node in graph.nodes:
        for position in CONSTANT_INPUTS.get(node.op_type, ()):
            name = node.input[position] if position < len(node.input) else ""
            if name and name not in graph.constants:
                yield Finding(
                    _name(node), node.op_type, f"reads {name!r}, which must be a constant", "make it an initializer"
                )
        if node.op_type in FIRST_OUTPUT_ONLY and any(node.output[1:]):
            yield Finding(_name(node), node.op_type, "has more than one output", "keep only the first output")
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            zero_point = node.input[2] if len(node.input) > 2 else ""
            if zero_point in graph.constants and not graph.is_zero(zero_point):
                yield Finding(
                    _name(node), node.op_type, f"has a zero point {zero_point!r} other than 0", "quantise symmetrically"
                )


def _values(graph: _Graph) -> Iterator[Finding]:
    for node, name in value_flow.find_shapes_from_values(graph.model.graph):
        yield Finding(
            _name(node),
            node.op_type,
            f"takes its output's shape from {name!r}, which depends on the values of an input",
            "compute it from the Shape of an input",
        )
    for user, name, origin in value_flow.find_arithmetic_beyond_shapes(graph.model.graph, graph.types):
        yield Finding(
            _name(user) if user is not None else name,
            user.op_type if user is not None else "output",
            f"uses {name!r}, integers computed by {origin.op_type} {_name(origin)!r}, for something other than a shape",
            "compute in FLOAT, or read a Slice of a constant",
        )


def _shapes(graph: _Graph, max_length: int) -> Iterator[Finding]:
    for item in graph.model.graph.input:
        unnamed = [dim for dim in item.type.tensor_type.shape.dim if not dim.dim_value and not dim.dim_param]
        if unnamed or item.name not in graph.ranked:
            yield Finding(
                item.name,
                "input",
                "has a dimension with neither a size nor a name",
                "name it, such as batch or sequence",
            )
            return
    for node in graph.nodes:
        for name in filter(None, node.output):
            if name not in graph.ranked:
                yield Finding(
                    _name(node),
                    node.op_type,
                    f"has an output {name!r} whose rank shape inference cannot find",
                    "use shapes of a known length in Reshape and Expand",
                )
    named = {
        dim.dim_param for item in graph.model.graph.input for dim in item.type.tensor_type.shape.dim if dim.dim_param
    }
    for batch, length in ((1, 1), (2, min(7, max_length)), (3, min(LONGEST, max_length))):
        # Every named dimension that is not the batch is taken for the sequence.
        sizes = {name: batch if "batch" in name else length for name in named}
        try:
            static_shapes.infer_shapes(graph.model, sizes)
        except static_shapes.UnknownShapeError as error:
            at = ", ".join(f"{name} {size}" for name, size in sorted(sizes.items()))
            yield Finding(
                _name(error.node),
                error.node.op_type,
                f"has no known shape at {at}: {error.reason}",
                "compute its shape from the Shape of an input",
            )
            return
