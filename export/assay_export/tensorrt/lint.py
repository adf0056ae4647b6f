"""Whether TensorRT 10 can take a graph, as far as that shows without a GPU.

Five rules, on the .onnx file alone (weights in external data are not read):

1. standard operators of the opsets that every TensorRT 10 reads; no local functions;
2. operators and types of tensors that its ONNX parser lists (tensorrt_operators), with the list's restrictions on
   constants, outputs and zero points (those on attributes of operators that these graphs do not use are not looked at);
3. no control flow, and no shape that depends on a value: only on the shapes of the inputs, and on constants;
4. no integer arithmetic beyond shapes: what Add, Sub, Mul, ... compute on int64 or int32 may end in an argument that
   decides a shape (of Reshape, Slice, Expand, Range, ...), and nowhere else. Token ids as indices of a Gather, masks
   that are cast, and indices that are read from a constant are no arithmetic;
5. every tensor has a type and a rank by onnx's shape inference (ONNX Runtime's TensorRT provider refuses a graph where
   it needs one that has none), and each of its dimensions follows from the sizes of the inputs (static_shapes), from a
   single token to the longest text.

A graph that passes was not built by TensorRT: that needs a GPU.
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

# The longest length at which shapes are worked out, where the model reads as much: longer than ModernBERT's window and
# than most tables of distances, and a number that no constant of a graph is likely to equal.
LONGEST = 601
# Weights inside the .onnx file are set aside from this size on.
LARGE_BYTES = 1 << 20


@dataclass(frozen=True)
class Finding:
    """One thing that TensorRT 10 may not take: where, what, and how to write it instead."""

    node: str  # the node's name, or what is meant where it is no node
    operator: str
    problem: str
    cure: str

    def __str__(self) -> str:
        return f"{self.operator} {self.node!r}: {self.problem}; {self.cure}"


def check(path: Path, graph: str, max_length: int, *, refuse: bool = True) -> list[str]:
    """The findings in a graph, one line each, as the manifest keeps them.

    Args:
        path: the .onnx file.
        graph: its name in messages, "onnx/model.onnx" for instance.
        max_length: the most tokens that the model reads.
        refuse: whether a finding is an error, as for a graph written here, or a remark.

    Raises:
        ExportError: `refuse` is set and there are findings; names the first and how many more there are.
    """
    found = lint(path, max_length)
    if found and refuse:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise ExportError(
            f"{graph} is not what TensorRT 10 takes, at {found[0]}{more}. Nothing was written. Please report this with "
            "the checkpoint's config.json"
        )
    return [str(finding) for finding in found]


def lint(path: Path, max_length: int = LONGEST) -> list[Finding]:
    """Everything in a graph that TensorRT 10 may not take; an empty list where nothing is. The module has the rules.

    Args:
        path: the .onnx file; its external data is not read, but for zero points.
        max_length: the most tokens that the model reads.
    """
    model = onnx.load(path, load_external_data=False)
    found = [*_imports(model), *_operators(model)]
    if found:
        return found  # what is no standard operator has no types and shapes to look at
    for tensor in model.graph.initializer:
        # Inference copies the model more than once, and a weight is no shape: large ones are treated as external.
        if len(tensor.raw_data) > LARGE_BYTES:
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
    try:
        typed = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        return [
            Finding(model.graph.name, "graph", " ".join(str(error).split()), "write nodes that agree with each other")
        ]
    graph = _Graph(typed, path.parent)
    return [
        *_types(graph),
        *_restrictions(graph),
        *_values(graph),
        *_shapes(graph, max_length),
    ]


class _Graph:
    """A model of standard operators, with the types that inference gave its tensors."""

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
        """Whether a constant tensor holds nothing but zeros."""
        tensor = self.constants[name]
        return tensor is not None and not numpy_helper.to_array(tensor, str(self.folder)).any()


def _opset(model: onnx.ModelProto) -> int:
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    return versions[0] if versions else 0


def _name(node: onnx.NodeProto) -> str:
    return node.name or next(filter(None, node.output), "")


def _type(element: int) -> str:
    return TensorProto.DataType.Name(element) if element else "no type that inference finds"


def _imports(model: onnx.ModelProto) -> Iterator[Finding]:
    version = _opset(model)
    if version not in OPSETS:
        yield Finding(
            model.graph.name,
            "graph",
            f"is written in opset {version}, and every TensorRT 10 reads {OPSETS[0]} to {OPSETS[-1]} only",
            f"write it in opset {OPSETS[-1]}",
        )
    for function in model.functions:
        yield Finding(
            function.name, "function", "is local to the graph, hence no standard operator", "write its nodes out"
        )


def _operators(model: onnx.ModelProto) -> Iterator[Finding]:
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx"):
            yield Finding(
                _name(node),
                f"{node.domain}.{node.op_type}",
                "is no standard operator",
                "write it in operators of the domain ai.onnx",
            )
        elif node.op_type in DATA_DEPENDENT:
            yield Finding(
                _name(node),
                node.op_type,
                "gives shapes that depend on values, or is control flow",
                "mask with Where instead of choosing, and decide what depends on the config at export",
            )
        elif node.op_type not in OPERATORS or not onnx.defs.has(node.op_type, _opset(model), ""):
            yield Finding(
                _name(node),
                node.op_type,
                "is not among the operators that every TensorRT 10 lists",
                "write it in operators that tensorrt_operators.py has",
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
                    f"reads {name!r}, which is {_type(found)}, and TensorRT 10 lists it for {listed}",
                    "cast before it, or store the constant as FLOAT",
                )
        for name in filter(None, node.output):
            found = graph.types.get(name, 0)
            if found not in TENSOR_TYPES:
                yield Finding(
                    _name(node),
                    node.op_type,
                    f"writes {name!r}, which is {_type(found)}, and TensorRT 10 does not compute in that",
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
            yield Finding(_name(node), node.op_type, "has more than one output", "leave out all but the first")
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            zero_point = node.input[2] if len(node.input) > 2 else ""
            if zero_point in graph.constants and not graph.is_zero(zero_point):
                yield Finding(
                    _name(node), node.op_type, f"has a zero point {zero_point!r} other than 0", "quantise symmetrically"
                )


def _values(graph: _Graph) -> Iterator[Finding]:
    for node, name in value_flow.shapes_from_values(graph.model.graph):
        yield Finding(
            _name(node),
            node.op_type,
            f"takes its output's shape from {name!r}, which depends on the values of an input",
            "compute it from the Shape of an input",
        )
    for user, name, origin in value_flow.arithmetic_beyond_shapes(graph.model.graph, graph.types):
        yield Finding(
            _name(user) if user is not None else name,
            user.op_type if user is not None else "output",
            f"uses {name!r}, integers that {origin.op_type} {_name(origin)!r} computed, for more than a shape",
            "compute in FLOAT, or read a Slice of a constant",
        )


def _shapes(graph: _Graph, max_length: int) -> Iterator[Finding]:
    for item in graph.model.graph.input:
        unnamed = [dim for dim in item.type.tensor_type.shape.dim if not dim.dim_value and not dim.dim_param]
        if unnamed or item.name not in graph.ranked:
            yield Finding(item.name, "input", "has a dimension without a size and a name", "name it: batch, sequence")
            return
    for node in graph.nodes:
        for name in filter(None, node.output):
            if name not in graph.ranked:
                yield Finding(
                    _name(node),
                    node.op_type,
                    f"has an output {name!r} whose rank shape inference does not find",
                    "give Reshape and Expand a shape whose length is known",
                )
    named = {
        dim.dim_param for item in graph.model.graph.input for dim in item.type.tensor_type.shape.dim if dim.dim_param
    }
    for batch, length in ((1, 1), (2, min(7, max_length)), (3, min(LONGEST, max_length))):
        # Whatever the axis of the sequence is called, it is not the batch.
        sizes = {name: batch if "batch" in name else length for name in named}
        try:
            static_shapes.shapes(graph.model, sizes)
        except static_shapes.UnknownShapeError as error:
            at = ", ".join(f"{name} {size}" for name, size in sorted(sizes.items()))
            yield Finding(
                _name(error.node),
                error.node.op_type,
                f"has no known shape at {at}: {error.reason}",
                "compute its shape from the Shape of an input",
            )
            return
