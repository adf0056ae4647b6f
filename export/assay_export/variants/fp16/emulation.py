"""Emulate float16 on the CPU: the fp16 graph rewritten to float32, with or without float16's rounding.

ONNX Runtime's CPU provider has no float16 arithmetic for these operators. It computes them in float32 and inserts casts
around them. Then it removes each pair of casts between two operators, even if one cast of the pair is the graph's own
(insert_cast_transformer.cc: RemoveDuplicateCastTransformer). So weights are rounded, but activations only where they
are reshaped or split, and most overflows of float16 are hidden. Running the fp16 file itself on a CPU therefore checks
its wiring and its weights, and says little about float16 activations.

In the emulated graph every float16 value is a float32 value. With `rounded`, each value is cast to float16 and back
after the operator that computes it. These casts belong to the graph, so ONNX Runtime keeps them. The result is float16
storage with float32 arithmetic inside each operator, as GPUs multiply half-precision matrices. Values beyond 65504
become infinite.
"""

from collections.abc import Collection, Mapping
from pathlib import Path

import onnx_ir as ir

from assay_export.variants.fp16 import chunked_attention
from assay_export.variants.fp16.graph import HALF

__all__ = ["SWITCH", "name_peak_output", "write"]

# Operators that move values without computing: their outputs were already rounded.
MOVES = {"Concat", "Expand", "Gather", "Identity", "Pad", "Reshape", "Slice", "Split", "Squeeze", "Transpose"} | {
    "Unsqueeze"
}


SWITCH = "rounded"
"""The name of the input, bool [groups], that switches the rounding of each group on."""


def write(
    path: Path,
    target: Path,
    *,
    rounded: bool,
    peaks: bool = False,
    attention_chunks: int = 1,
    switches: Mapping[str, Collection[int]] | None = None,
) -> dict[str, str]:
    """Write the emulated graph. It uses the weight file of the original, so both must be in one folder.

    Args:
        path: The fp16 graph.
        target: The .onnx file to write.
        rounded: Whether to round each computed value to float16.
        peaks: Whether to add two outputs, float32 [], for each computed float16 value: its largest and its smallest
            element, named by `name_peak_output`. The values themselves need not be returned then.
        attention_chunks: The number of chunks of queries in which to compute attention.
        switches: With `rounded`: for each float16 value of the original, the indices of the groups that it is computed
            from. The graph then has the input SWITCH, and rounds a value only if all of its groups are switched on. A
            value without groups is not rounded.

    Returns:
        For each computed float16 value, its name and the name of the value in the original graph. With chunked
        attention, several values are parts of one original.
    """
    model = ir.load(path)
    graph = model.graph
    opset = graph.opset_imports[""]
    parts_of = chunked_attention.split(model, attention_chunks) if attention_chunks > 1 else {}

    def make_node(op_type: str, x: ir.Value, dtype: ir.DataType, **attributes: int) -> ir.Node:
        node = ir.node(op_type, [x], attributes, version=opset)
        node.outputs[0].dtype, node.outputs[0].shape = dtype, x.shape
        return node

    computed: list[ir.Value] = []
    for node in list(graph):
        for value in node.outputs:
            if value.dtype is HALF:
                value.dtype = ir.DataType.FLOAT
                if node.op_type not in MOVES:
                    computed.append(value)
        if node.op_type == "Cast" and node.attributes["to"].as_int() == HALF:
            node.attributes["to"] = ir.AttrInt64("to", ir.DataType.FLOAT)

    first = graph[0]
    conditions = _write_conditions(graph, first, switches) if switches is not None else {}
    for weight in list(graph.initializers.values()):
        if weight.dtype is HALF:
            loaded = make_node("Cast", weight, ir.DataType.FLOAT, to=ir.DataType.FLOAT)
            ir.convenience.replace_all_uses_with(weight, loaded.outputs[0])
            loaded.replace_input_with(0, weight)
            graph.insert_before(first, [loaded])

    for value in computed:
        producer = value.producer()
        assert producer is not None
        groups = None if switches is None else frozenset(switches[parts_of.get(str(value.name), str(value.name))])
        if rounded and groups != frozenset():
            down = make_node("Cast", value, HALF, to=HALF)
            up = make_node("Cast", down.outputs[0], ir.DataType.FLOAT, to=ir.DataType.FLOAT)
            nodes = [down, up]
            if groups is not None:
                choice = ir.node("Where", [conditions[groups], up.outputs[0], value], version=opset)
                choice.outputs[0].dtype, choice.outputs[0].shape = ir.DataType.FLOAT, value.shape
                nodes.append(choice)
            ir.convenience.replace_all_uses_with(value, nodes[-1].outputs[0])
            down.replace_input_with(0, value)
            if groups is not None:
                choice.replace_input_with(2, value)
            graph.insert_after(producer, nodes)
        if peaks:
            ends = [make_node(op_type, value, ir.DataType.FLOAT, keepdims=0) for op_type in ("ReduceMax", "ReduceMin")]
            graph.insert_after(producer, ends)
            for end in ends:
                end.outputs[0].name, end.outputs[0].shape = name_peak_output(str(value.name), end.op_type), ir.Shape([])
                graph.outputs.append(end.outputs[0])
    ir.save(model, target)
    return {str(value.name): parts_of.get(str(value.name), str(value.name)) for value in computed}


def _write_conditions(
    graph: ir.Graph, first: ir.Node, switches: Mapping[str, Collection[int]]
) -> dict[frozenset[int], ir.Value]:
    """Add the input SWITCH, and for each set of groups in `switches` a bool [] that is true if all of them are on."""
    opset = graph.opset_imports[""]
    count = 1 + max(index for indices in switches.values() for index in indices)
    switch = ir.val(SWITCH, ir.DataType.BOOL, [count])
    graph.inputs.append(switch)
    conditions = {}
    for indices in sorted({frozenset(indices) for indices in switches.values() if indices}, key=sorted):
        chosen = ir.node("Constant", [], {"value_ints": sorted(indices)}, version=opset)
        on = ir.node("Gather", [switch, chosen.outputs[0]], version=opset)
        number = ir.node("Cast", [on.outputs[0]], {"to": ir.DataType.INT32}, version=opset)
        smallest = ir.node("ReduceMin", [number.outputs[0]], {"keepdims": 0}, version=opset)
        condition = ir.node("Cast", [smallest.outputs[0]], {"to": ir.DataType.BOOL}, version=opset)
        graph.insert_before(first, [chosen, on, number, smallest, condition])
        conditions[indices] = condition.outputs[0]
    return conditions


def name_peak_output(value: str, op_type: str) -> str:
    """Return the name of the output with the largest (ReduceMax) or smallest (ReduceMin) element of a value."""
    return f"{value}.{op_type}"
