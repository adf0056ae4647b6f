"""Rewrite attention to run in chunks of queries, so that a graph's scores fit into memory at long lengths.

At 8,192 tokens and 16 heads one tensor of scores takes 4.3 GB in float32, and softmax needs several of them at once.
Each query's scores are independent of the other queries', so the same operators on a chunk of the queries return the
same answers.
"""

from collections.abc import Mapping

import onnx_ir as ir

from assay_export.checkpoint.reference import Feed
from assay_export.tensorrt import static_shapes

__all__ = ["count_chunks", "split"]

# Queries per chunk. Their scores over 8,192 keys take half a gigabyte for 16 heads.
QUERIES = 1024
# Operators that may stand between the two products, apart from the softmax: a mask, a scale, a cast.
BETWEEN = ("Add", "Mul", "Cast")
# The input sizes at which shapes are inferred: an axis of queries has two elements then, and one for a single query.
SIZES = {"batch": 1, "sequence": 2}


def count_chunks(feed: Feed) -> int:
    """Count the chunks of queries for a feed [batch, sequence]: 1 unless there are at least two whole ones."""
    return max(1, feed["input_ids"].shape[1] // QUERIES)


def split(model: ir.Model, chunks: int) -> dict[str, str]:
    """Rewrite each softmax(queries @ keys) @ values of a model's graph in place, to run in chunks of queries.

    A tensor that is added to the scores (a mask, DeBERTa's relative positions) is split as well if it differs from
    query to query. An attention of a single query, as in the last layer before a head that reads the first token, is
    left as it is, and so is one whose intermediate values have other uses.

    Args:
        model: The model to rewrite, a portable graph.
        chunks: The number of chunks. The rewritten graph needs inputs of at least as many tokens.

    Returns:
        For each new value, its name and the name of the value that it is a part of.
    """
    graph = model.graph
    # The shapes in the file do not say how many queries an attention has: they are open behind every Slice.
    shapes = static_shapes.infer_shapes(ir.to_proto(model), SIZES)
    parts_of: dict[str, str] = {}
    splits: dict[ir.Value, list[ir.Value]] = {}
    for softmax in [node for node in graph if node.op_type == "Softmax"]:
        chain = _find_chain(softmax)
        if chain is None or _count_rows(chain[0].inputs[0], shapes) == 1:
            continue
        version = graph.opset_imports[""]

        def split_queries(value: ir.Value, before: ir.Node = chain[-1], version: int = version) -> list[ir.Value]:
            """Split `value` [..., queries, any] into chunks, or repeat it if it is the same for all queries."""
            if _count_rows(value, shapes) == 1:
                return [value] * chunks
            if value not in splits:
                attributes = {"axis": -2, "num_outputs": chunks}
                node = ir.node("Split", [value], attributes, num_outputs=chunks, version=version)
                for part in node.outputs:
                    part.type, part.shape = _copy_type(value), _forget_queries(value)
                graph.insert_before(before, [node])
                splits[value] = list(node.outputs)
            return splits[value]

        # The second input of the first product is the keys, that of the last one the values: each query needs them all.
        shared = {chain[0].inputs[1], chain[-1].inputs[1]}
        ends: list[ir.Value] = []
        for chunk in range(chunks):
            made: dict[ir.Value, ir.Value] = {}
            for node in chain:
                inputs = [
                    made[value] if value in made else value if value in shared else split_queries(value)[chunk]
                    for value in node.inputs
                    if value is not None
                ]
                copy = ir.node(node.op_type, inputs, dict(node.attributes), version=version)
                old, new = node.outputs[0], copy.outputs[0]
                new.name, new.type, new.shape = f"{old.name}.chunk{chunk}", _copy_type(old), _forget_queries(old)
                parts_of[new.name] = str(old.name)
                made[old] = new
                graph.insert_before(chain[-1], [copy])
            ends.append(made[chain[-1].outputs[0]])
        whole = ir.node("Concat", ends, {"axis": -2}, version=version)
        result = chain[-1].outputs[0]
        whole.outputs[0].type, whole.outputs[0].shape = _copy_type(result), result.shape
        ir.convenience.replace_all_uses_with(result, whole.outputs[0])
        graph.insert_before(chain[-1], [whole])
        graph.remove(reversed(chain), safe=True)
    return parts_of


def _find_chain(softmax: ir.Node) -> list[ir.Node] | None:
    """Return the nodes from queries @ keys through `softmax` to @ values, or None if a value between has other uses."""
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


def _count_rows(value: ir.Value | None, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Return the size of the second last axis of a value [..., rows, any]; a constant may have fewer axes."""
    assert value is not None
    shape = shapes[str(value.name)]
    return shape[-2] if len(shape) > 1 else 1


def _forget_queries(value: ir.Value) -> ir.Shape | None:
    """Return the shape of a part of `value`, whose number of queries is unknown."""
    return None if value.shape is None else ir.Shape([*value.shape[:-2], None, value.shape[-1]])


def _copy_type(value: ir.Value) -> ir.TensorType | None:
    """Return a new type object: a shared one would change for all its values at once."""
    return None if value.dtype is None else ir.TensorType(value.dtype)
