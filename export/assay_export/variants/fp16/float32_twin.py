"""The fp16 graph in float32, for the CPU: to see its values as they are, or as float16 would store them.

ONNX Runtime's CPU provider has no float16 arithmetic for these operators. It computes them in float32 between casts of
its own, and then removes every pair of casts through which one hands a value to the next, also where the graph's own
cast is one of the pair (insert_cast_transformer.cc: RemoveDuplicateCastTransformer). Weights are rounded, activations
only where they are reshaped or split, and most of what overflows float16 goes unseen. So the file alone, run on a CPU,
proves its wiring and its weights, and little about float16 activations.

Here every float16 value is a float32 one, and with `rounded` it is written through float16 and back where an operator
has computed it. Those casts are the graph's own, which ONNX Runtime keeps. This is float16 storage with float32
arithmetic inside each operator, as GPUs multiply half-precision matrices; beyond 65504 a value becomes infinite.
"""

from pathlib import Path

import onnx_ir as ir

from assay_export.variants.fp16 import query_blocks
from assay_export.variants.fp16.graph import HALF

# These hand on values that were rounded where they were computed.
MOVES = {"Concat", "Expand", "Gather", "Identity", "Pad", "Reshape", "Slice", "Split", "Squeeze", "Transpose"} | {
    "Unsqueeze"
}


def write(path: Path, target: Path, *, rounded: bool, peaks: bool = False, attention_blocks: int = 1) -> dict[str, str]:
    """Writes the twin of the graph at `path` to `target`, beside it, with the weights of the original.

    Args:
        peaks: gives the graph two outputs float32 [] for each value that was float16 and is computed, not moved: its
            largest and its smallest element, named by `peak_output`; so that no value has to be handed out.
        attention_blocks: computes attention in so many blocks of queries (query_blocks.py).

    Returns:
        The names of the values that have such outputs, each with the name of the value in the original: several are
        parts of one where attention is in blocks.
    """
    model = ir.load(path)
    graph = model.graph
    opset = graph.opset_imports[""]
    parts_of = query_blocks.split(graph, attention_blocks) if attention_blocks > 1 else {}

    def node(op_type: str, x: ir.Value, dtype: ir.DataType, **attributes: int) -> ir.Node:
        made = ir.node(op_type, [x], attributes, version=opset)
        made.outputs[0].dtype, made.outputs[0].shape = dtype, x.shape
        return made

    computed: list[ir.Value] = []
    for each in list(graph):
        for value in each.outputs:
            if value.dtype is HALF:
                value.dtype = ir.DataType.FLOAT
                if each.op_type not in MOVES:
                    computed.append(value)
        if each.op_type == "Cast" and each.attributes["to"].as_int() == HALF:
            each.attributes["to"] = ir.AttrInt64("to", ir.DataType.FLOAT)

    first = graph[0]
    for weight in list(graph.initializers.values()):
        if weight.dtype is HALF:
            loaded = node("Cast", weight, ir.DataType.FLOAT, to=ir.DataType.FLOAT)
            ir.convenience.replace_all_uses_with(weight, loaded.outputs[0])
            loaded.replace_input_with(0, weight)
            graph.insert_before(first, [loaded])

    for value in computed:
        producer = value.producer()
        assert producer is not None
        if rounded:
            down = node("Cast", value, HALF, to=HALF)
            up = node("Cast", down.outputs[0], ir.DataType.FLOAT, to=ir.DataType.FLOAT)
            ir.convenience.replace_all_uses_with(value, up.outputs[0])
            down.replace_input_with(0, value)
            graph.insert_after(producer, [down, up])
        if peaks:
            ends = [node(op_type, value, ir.DataType.FLOAT, keepdims=0) for op_type in ("ReduceMax", "ReduceMin")]
            graph.insert_after(producer, ends)
            for end in ends:
                end.outputs[0].name, end.outputs[0].shape = peak_output(str(value.name), end.op_type), ir.Shape([])
                graph.outputs.append(end.outputs[0])
    ir.save(model, target)
    return {str(value.name): parts_of.get(str(value.name), str(value.name)) for value in computed}


def peak_output(value: str, op_type: str) -> str:
    """The name of the output that has the largest (ReduceMax) or smallest (ReduceMin) element of a value."""
    return f"{value}.{op_type}"
