"""The int8 variants: `int8` for ONNX Runtime's CPU provider, `int8_qdq` for TensorRT, and what they do differently."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from assay.ort.batching import INT8_TOKENS_PER_CALL, group
from assay_export.checkpoint.reference import Feed
from assay_export.graphs import cpu_session
from assay_export.graphs.precision import Precision
from assay_export.graphs.writer import Array, Dialect
from assay_export.variants.int8 import graph, linear, positions, qdq, smoothing
from assay_export.variants.int8.damage import Write
from assay_export.variants.int8.linear import Recipe
from assay_export.variants.int8.search import Ladder
from assay_export.variants.int8.static_scales import fit_static
from assay_export.variants.int8.statistics import LayerStatistics, Statistics, TableStatistics

# Constants are folded and nothing is fused. For int8 that is faster (cpu_session.py). For int8_qdq it keeps the answers
# those of the graph, to the last bit: from "extended" on, ONNX Runtime makes integer kernels of the rounded products
# (MatMulIntegerToFloat), whose sums round otherwise. It takes no DequantizeLinear for a constant (microsoft/onnxruntime
# pull request 6643), so that TensorRT, which is given the graph after "basic", finds the weights in int8.
GRAPH_OPTIMIZATION = "basic"
# int8_qdq on the CPU dequantises all its weights in each call, which is most of what short rows cost.
TOKENS_PER_CALL = 512
# Rows of int8_qdq share a call where they differ by less than this many tokens.
PADDED_TO = 16


@dataclass(frozen=True)
class Scheme:
    """One int8 variant: how its graph is written, which remedies its layers have, and how the gate runs it."""

    variant: str
    dialect: Dialect
    precision: Callable[[Mapping[str, Recipe]], Precision]
    write: Write
    ladder: Callable[[Statistics, bool], Ladder]
    run: Callable[[Path, Sequence[Feed]], Array]
    run_sharing: Callable[[Path, Sequence[Feed]], Array] | None  # the same where rows share calls, if that differs


def _cpu_ladder(layer: Statistics, absorbable: bool) -> Ladder:
    if isinstance(layer, TableStatistics):
        return Ladder(positions.candidates(layer, absorbable))
    return Ladder.of(smoothing.candidates(layer, absorbable))


def _qdq_ladder(layer: Statistics, absorbable: bool) -> Ladder:
    if not isinstance(layer, LayerStatistics):
        return Ladder([(Recipe("fp32"), 0.0)])
    return Ladder.of(smoothing.candidates(layer, absorbable, fit_static, blockwise=False))


def _run_one_by_one(path: Path, feeds: Sequence[Feed]) -> Array:
    """One row a call, as the runtime runs int8: the activations' scale is that of the row alone."""
    session = cpu_session.load(path, GRAPH_OPTIMIZATION)
    return np.concatenate([session.run(["logits"], {"input_ids": feed["input_ids"]})[0] for feed in feeds])


def _run_sharing(path: Path, feeds: Sequence[Feed]) -> Array:
    """Each short row in a call with as many others as a call of the runtime may have.

    The activations' scale is then that of all of them. The others are rows of `feeds`, cut or repeated to the length
    of the row, so that every row has company and not only those that have their like.
    """
    session = cpu_session.load(path, GRAPH_OPTIMIZATION)
    rows = [feed["input_ids"][0] for feed in feeds]
    answers = []
    for index, row in enumerate(rows):
        together = [row]
        for other in range(1, INT8_TOKENS_PER_CALL // len(row)):
            company = np.resize(rows[(index + other) % len(rows)], len(row))
            company[-1] = row[-1]  # all texts end in the same special token
            together.append(company)
        answers.append(session.run(["logits"], {"input_ids": np.stack(together)})[0][:1])
    return np.concatenate(answers)


def _run_padded(path: Path, feeds: Sequence[Feed]) -> Array:
    """Rows of about one length padded to one, as a GPU gets them. Scales are fixed: no row depends on the others."""
    session = cpu_session.load(path, GRAPH_OPTIMIZATION)
    lengths = [feed["input_ids"].size for feed in feeds]
    answers: dict[int, Array] = {}
    for indices in group([-(-length // PADDED_TO) * PADDED_TO for length in lengths], TOKENS_PER_CALL):
        longest = max(lengths[index] for index in indices)
        # Padding is masked: any token will do, and 0 is in every vocabulary.
        padded = {
            name: np.concatenate([np.pad(feeds[i][name], ((0, 0), (0, longest - lengths[i]))) for i in indices])
            for name in ("input_ids", "attention_mask")
        }
        answers |= dict(zip(indices, session.run(["logits"], padded)[0], strict=True))
    return np.stack([answers[index] for index in range(len(feeds))])


SCHEMES = (
    Scheme("int8", Dialect.CPU, graph.Int8, linear.write, _cpu_ladder, _run_one_by_one, _run_sharing),
    Scheme("int8_qdq", Dialect.PORTABLE, qdq.Qdq, qdq.write, _qdq_ladder, _run_padded, None),
)
