"""Attention in blocks of queries, for running a graph at lengths whose scores would not fit into memory.

At 8,192 tokens and 16 heads one tensor of scores takes 4.3 GB in float32, and softmax needs several at once. A query's
row of scores meets no other query's, so the same operators over an eighth of the queries each give the same answers.
"""

import onnx_ir as ir

from assay_export.checkpoint.reference import Feed

# Queries of a block. Their scores over 8,192 keys take half a gigabyte for 16 heads.
QUERIES = 1024
# What may stand between the two products beside the softmax itself: a mask, a scale, a change of type.
BETWEEN = ("Add", "Mul", "Cast")


def count(feed: Feed) -> int:
    """How many blocks the queries of a feed [batch, sequence] make; 1 below two whole ones."""
    return max(1, feed["input_ids"].shape[1] // QUERIES)


def split(graph: ir.Graph, blocks: int) -> dict[str, str]:
    """Rewrites each softmax(queries @ keys) @ values of `graph` to `blocks` of them, for lengths not below `blocks`.

    What is added to the scores (a mask, DeBERTa's relative positions) is split where it differs from query to query.
    Where a value on the way has other uses, the attention stays whole.

    Returns:
        The name of each new value, with the name of the value of which it is a part.
    """
    parts_of: dict[str, str] = {}
    splits: dict[ir.Value, list[ir.Value]] = {}
    for softmax in [node for node in graph if node.op_type == "Softmax"]:
        chain = _chain(softmax)
        if chain is None:
            continue
        version = graph.opset_imports[""]

        def parts(value: ir.Value, before: ir.Node = chain[-1], version: int = version) -> list[ir.Value]:
            """`value` [..., queries, any] in blocks of queries; as it is where it is the same for all queries."""
            if value.shape is None or value.shape[-2] == 1:
                return [value] * blocks
            if value not in splits:
                attributes = {"axis": -2, "num_outputs": blocks}
                node = ir.node("Split", [value], attributes, num_outputs=blocks, version=version)
                for part in node.outputs:
                    part.type, part.shape = _type(value), _symbolic(value)
                graph.insert_before(before, [node])
                splits[value] = list(node.outputs)
            return splits[value]

        # The first product's second input is the keys, the last one's the values: every query meets all of them.
        shared = {chain[0].inputs[1], chain[-1].inputs[1]}
        ends: list[ir.Value] = []
        for block in range(blocks):
            made: dict[ir.Value, ir.Value] = {}
            for node in chain:
                inputs = [
                    made[value] if value in made else value if value in shared else parts(value)[block]
                    for value in node.inputs
                    if value is not None
                ]
                copy = ir.node(node.op_type, inputs, dict(node.attributes), version=version)
                old, new = node.outputs[0], copy.outputs[0]
                new.name, new.type, new.shape = f"{old.name}.block{block}", _type(old), _symbolic(old)
                parts_of[new.name] = str(old.name)
                made[old] = new
                graph.insert_before(chain[-1], [copy])
            ends.append(made[chain[-1].outputs[0]])
        whole = ir.node("Concat", ends, {"axis": -2}, version=version)
        result = chain[-1].outputs[0]
        whole.outputs[0].type, whole.outputs[0].shape = _type(result), result.shape
        ir.convenience.replace_all_uses_with(result, whole.outputs[0])
        graph.insert_before(chain[-1], [whole])
        graph.remove(reversed(chain), safe=True)
    return parts_of


def _chain(softmax: ir.Node) -> list[ir.Node] | None:
    """The nodes from queries @ keys over `softmax` to @ values; none where others use what one of them gives."""
    first = softmax
    before: list[ir.Node] = []
    while first.op_type != "MatMul":
        value = first.inputs[0]
        producer = value.producer() if value is not None else None
        if producer is None or producer.op_type not in (*BETWEEN, "MatMul") or len(producer.outputs[0].uses()) != 1:
            return None
        before.insert(0, producer)
        first = producer
    last = softmax
    after: list[ir.Node] = []
    while last.op_type != "MatMul":
        uses = list(last.outputs[0].uses())
        if len(uses) != 1 or uses[0].idx != 0 or uses[0].node.op_type not in (*BETWEEN, "MatMul"):
            return None
        last = uses[0].node
        after.append(last)
    return [*before, softmax, *after]


def _symbolic(value: ir.Value) -> ir.Shape | None:
    """The shape of a part of `value`: the number of queries is not known."""
    return None if value.shape is None else ir.Shape([*value.shape[:-2], None, value.shape[-1]])


def _type(value: ir.Value) -> ir.TensorType | None:
    """A type of its own: one that several values have changes for all of them."""
    return None if value.dtype is None else ir.TensorType(value.dtype)
