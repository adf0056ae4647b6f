"""The variants `int8_ort` for ONNX Runtime's CPU provider and `int8_qdq` for TensorRT, and how they differ."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from assay.ort.batching import INT8_TOKENS_PER_CALL, group
from assay_export.checkpoint.reference import Feed
from assay_export.graphs import cpu_session
from assay_export.graphs.precision import Precision
from assay_export.graphs.writer import Array, Dialect
from assay_export.variants.int8 import linear, smoothing
from assay_export.variants.int8.linear import Recipe
from assay_export.variants.int8.providers import graph, positions, qdq
from assay_export.variants.int8.providers.damage import Write
from assay_export.variants.int8.providers.search import Ladder
from assay_export.variants.int8.providers.static_scales import fit_static
from assay_export.variants.int8.statistics import LayerStatistics, Statistics, TableStatistics

__all__ = ["GRAPH_OPTIMIZATION", "SCHEMES", "Scheme"]

GRAPH_OPTIMIZATION = "basic"
"""The optimisation level of both graphs: constants are folded and nothing is fused. For int8 this is faster (see
graphs/cpu_session.py). For int8_qdq it keeps the answers of the graph as written: from "extended" on, ONNX Runtime
replaces the products by integer kernels (MatMulIntegerToFloat), whose sums round differently. At "basic" it does not
fold a DequantizeLinear of a constant (microsoft/onnxruntime pull request 6643), so TensorRT, which is passed the graph
after "basic", still finds the weights in int8."""

# On the CPU, int8_qdq dequantises all its weights in each call, which is most of the cost of short rows.
TOKENS_PER_CALL = 512
# Rows of int8_qdq are padded to a multiple of this many tokens, so that rows of similar length share a call.
PADDED_TO = 16


@dataclass(frozen=True)
class Scheme:
    """One int8 variant.

    Attributes:
        variant: The variant's name.
        dialect: The dialect of its graph.
        precision: Makes the precision that the graph is written with from the layers' recipes.
        write: Writes one linear layer by its recipe.
        ladder: Fits a layer's recipes. Its arguments are the layer's statistics and whether smoothing can be absorbed.
        run: Runs the graph on rows as the gate does, and returns logits [rows, labels].
        run_sharing: Does the same with many rows per call, or None if that makes no difference to the answers.
    """

    variant: str
    dialect: Dialect
    precision: Callable[[Mapping[str, Recipe]], Precision]
    write: Write
    ladder: Callable[[Statistics, bool], Ladder]
    run: Callable[[Path, Sequence[Feed]], Array]
    run_sharing: Callable[[Path, Sequence[Feed]], Array] | None


def _fit_for_cpu(layer: Statistics, absorbable: bool) -> Ladder:
    if isinstance(layer, TableStatistics):
        return Ladder(positions.list_candidates(layer, absorbable))
    return Ladder.of(smoothing.list_candidates(layer, absorbable))


def _fit_for_tensorrt(layer: Statistics, absorbable: bool) -> Ladder:
    if not isinstance(layer, LayerStatistics):
        return Ladder([(Recipe("fp32"), 0.0)])
    return Ladder.of(smoothing.list_candidates(layer, absorbable, fit_static, blockwise=False))


def _run_one_by_one(path: Path, feeds: Sequence[Feed]) -> Array:
    """Run one row per call, as the runtime does for int8, so that the scale of the activations is the row's own."""
    session = cpu_session.load(path, GRAPH_OPTIMIZATION)
    return np.concatenate([session.run(["logits"], cpu_session.select_inputs(session, feed))[0] for feed in feeds])


def _run_sharing(path: Path, feeds: Sequence[Feed]) -> Array:
    """Run each short row in a call with as many other rows as the runtime puts in a call.

    All rows of a call share one scale of the activations. The other rows come from `feeds`, cut or repeated to the same
    length, so that rows whose length is unique share a call as well.
    """
    session = cpu_session.load(path, GRAPH_OPTIMIZATION)
    rows = [cpu_session.select_inputs(session, feed) for feed in feeds]
    answers = []
    for index, row in enumerate(rows):
        length = row["input_ids"].size
        others = [rows[(index + other) % len(rows)] for other in range(1, INT8_TOKENS_PER_CALL // length)]
        call = {}
        for name, values in row.items():
            neighbours = [np.resize(other[name], (1, length)) for other in others]
            for neighbour in neighbours:
                neighbour[0, -1] = values[0, -1]  # all texts end in the same special token
            call[name] = np.concatenate([values, *neighbours])
        answers.append(session.run(["logits"], call)[0][:1])
    return np.concatenate(answers)


def _run_padded(path: Path, feeds: Sequence[Feed]) -> Array:
    """Pad rows of similar length to one length, as on a GPU. Scales are fixed, so rows do not affect each other."""
    session = cpu_session.load(path, GRAPH_OPTIMIZATION)
    lengths = [feed["input_ids"].size for feed in feeds]
    answers: dict[int, Array] = {}
    for indices in group([-(-length // PADDED_TO) * PADDED_TO for length in lengths], TOKENS_PER_CALL):
        longest = max(lengths[index] for index in indices)
        # Padding is masked, so any token works, and 0 is in every vocabulary.
        padded = {
            name: np.concatenate([np.pad(feeds[i][name], ((0, 0), (0, longest - lengths[i]))) for i in indices])
            for name in feeds[0]
        }
        answers |= dict(zip(indices, session.run(["logits"], padded)[0], strict=True))
    return np.stack([answers[index] for index in range(len(feeds))])


SCHEMES = (
    Scheme("int8_ort", Dialect.CPU, graph.Int8, linear.write, _fit_for_cpu, _run_one_by_one, _run_sharing),
    Scheme("int8_qdq", Dialect.PORTABLE, qdq.Qdq, qdq.write, _fit_for_tensorrt, _run_padded, None),
)
