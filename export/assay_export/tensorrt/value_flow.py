"""Find what input values and the results of integer arithmetic are used for. Shapes do not count as values."""

from collections.abc import Iterator, Mapping

import onnx
from onnx import TensorProto

from assay_export.tensorrt.operators import INTEGER_ARITHMETIC

__all__ = ["find_arithmetic_beyond_shapes", "find_shapes_from_values"]

# Integers are followed through tensors of these types; bool, because a comparison may select one of two shapes.
FOLLOWED = frozenset({TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL})

# The inputs of each operator that determine the shape of its output, by position.
SHAPE_INPUTS: Mapping[str, tuple[int, ...]] = {
    "ConstantOfShape": (0,),
    "Expand": (1,),
    "OneHot": (1,),
    "Pad": (1, 3),
    "Range": (0, 1, 2),
    "Reshape": (1,),
    "Resize": (2, 3),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Squeeze": (1,),
    "Tile": (1,),
    "TopK": (1,),
    "Unsqueeze": (1,),
    **{name: (1,) for name in INTEGER_ARITHMETIC if name.startswith("Reduce")},
}
# Operators that move or compare integers, and the positions of the inputs that they read them from. Concat, which reads
# them from all of its inputs, is handled in the code.
PASSES_ON: Mapping[str, tuple[int, ...]] = {
    **dict.fromkeys(("Cast", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity", "Pad"), (0,)),
    **dict.fromkeys(("Not", "Reshape", "Slice", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze"), (0,)),
    **dict.fromkeys(("And", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Or", "Xor"), (0, 1)),
    "Where": (0, 1, 2),
}


def find_shapes_from_values(graph: onnx.GraphProto) -> Iterator[tuple[onnx.NodeProto, str]]:
    """Find the arguments that determine a shape and depend on the values of an input.

    Yields:
        The node and the name of the argument.
    """
    from_values = {item.name for item in graph.input} - {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        for position, name in enumerate(node.input):
            if name in from_values and position in SHAPE_INPUTS.get(node.op_type, ()):
                yield node, name
        if node.op_type not in ("Shape", "Size") and from_values.intersection(node.input):
            from_values.update(filter(None, node.output))


def find_arithmetic_beyond_shapes(
    graph: onnx.GraphProto, types: Mapping[str, int]
) -> Iterator[tuple[onnx.NodeProto | None, str, onnx.NodeProto]]:
    """Find the uses of computed integers for anything other than a shape.

    Args:
        graph: The graph.
        types: The element type of every tensor.

    Yields:
        The node that uses the integers, or None if they are an output of the graph; their name; and the arithmetic node
        that computed them.
    """
    origin: dict[str, onnx.NodeProto] = {}  # the arithmetic node that each tensor comes from
    for node in graph.node:
        followed = [name for name in node.output if types.get(name) in FOLLOWED]
        for position, name in enumerate(node.input):
            reads_shape = node.op_type in ("Shape", "Size") or position in SHAPE_INPUTS.get(node.op_type, ())
            if name not in origin or reads_shape:
                continue
            passes_on = node.op_type == "Concat" or position in PASSES_ON.get(node.op_type, ())
            if followed and (passes_on or node.op_type in INTEGER_ARITHMETIC):
                origin.update(dict.fromkeys(followed, origin[name]))
            else:
                yield node, name, origin[name]
        if node.op_type in INTEGER_ARITHMETIC:
            origin.update(dict.fromkeys(followed, node))
    for item in graph.output:
        if item.name in origin:
            yield None, item.name, origin[item.name]
