"""The fp16 gate: compare the graph with float32 PyTorch, as it runs on the CPU and with float16 emulated.

ONNX Runtime's CPU provider rounds few float16 activations (see emulation.py). So the file itself shows that it was
written correctly, and the emulated graph shows what a GPU will store. At lengths whose scores take gigabytes the file
itself would need too much memory; there only the emulated graph runs, with its attention in chunks.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime import InferenceSession

from assay_export.checkpoint.reference import Feed
from assay_export.errors import ParityError
from assay_export.gates import parity
from assay_export.gates.answers import find_flips
from assay_export.gates.parity import Case, Logits
from assay_export.graphs import cpu_session
from assay_export.graphs.cpu_session import GRAPH_OPTIMIZATION
from assay_export.graphs.writer import Array, Dialect
from assay_export.variants.fp16 import chunked_attention, emulation

__all__ = ["ADVICE", "MAX_DELTA", "Texts", "check"]

MAX_DELTA = 2e-2
"""The largest |delta logit| of the fp16 graph, unless the fp32 gate of the checkpoint already allows more."""

ADVICE = "nothing was written. This checkpoint does not fit float16: export it without fp16"


@dataclass(frozen=True)
class Texts:
    """Real text whose labels must not flip: its cases, and the row that each case comes from."""

    cases: Sequence[Case]
    rows: Sequence[tuple[str, ...]]


def check(
    path: Path,
    file: str,
    cases: Sequence[Case],
    texts: Texts,
    labels: int,
    activation: str,
    advance: Callable[[], None] = lambda: None,
    fp32_limit: float = 0.0,
) -> dict[str, Any]:
    """Compare the fp16 graph at `path` with PyTorch, as it is and with float16 emulated.

    Args:
        path: The fp16 graph.
        file: The graph's name in the bundle, for messages.
        cases: The grid of shapes, whose labels mean nothing.
        texts: Real text, whose labels must not flip.
        labels: The number of logits per row.
        activation: "softmax", "sigmoid", "identity" or "sigmoid score".
        advance: Called after each case, at most len(cases) + len(texts.cases) times for each of the two graphs.
        fp32_limit: The largest |delta logit| that the fp32 gate allowed, where it is above MAX_DELTA.

    Returns:
        The report of the emulated graph as the manifest stores it, with the largest delta of the file itself under
        "as_it_is".

    Raises:
        ParityError: Some |delta logit| is above the limit, a logit is NaN or infinite, or a label flips.
    """
    limit = max(MAX_DELTA, fp32_limit)

    def compare(load: Callable[[int], InferenceSession], most_chunks: float, name: str) -> dict[str, Any]:
        """Compare the cases of at most `most_chunks` chunks; `load` returns the session for a number of chunks."""
        shapes = [case for case in cases if chunked_attention.count_chunks(case.feed) <= most_chunks]
        kept = [i for i, case in enumerate(texts.cases) if chunked_attention.count_chunks(case.feed) <= most_chunks]
        kept_texts = Texts([texts.cases[i] for i in kept], [texts.rows[i] for i in kept])
        all_cases = [*shapes, *kept_texts.cases]
        loaded: tuple[int, InferenceSession] | None = None
        answers: list[Logits] = []

        def run(feed: Feed) -> Logits:
            nonlocal loaded
            chunks = chunked_attention.count_chunks(feed)
            if loaded is None or loaded[0] != chunks:
                loaded = None  # free the memory of one session before the next is loaded
                loaded = chunks, load(chunks)
            logits = loaded[1].run(["logits"], feed)[0]
            if not np.isfinite(logits).all():
                raise ParityError(f"{name} answers NaN or infinity at {all_cases[len(answers)].shape}; {ADVICE}")
            answers.append(logits)
            advance()
            return logits

        report = parity.compare(run, all_cases, labels, limit, name, ADVICE)
        _refuse_flips(np.concatenate(answers[len(shapes) :]), kept_texts, activation, name)
        return report

    def load_file(chunks: int) -> InferenceSession:  # noqa: ARG001
        return cpu_session.load(path, GRAPH_OPTIMIZATION[Dialect.PORTABLE], keep_memory=False)

    emulated = path.with_name(f"{path.stem}.emulated.onnx")

    def load_emulated(chunks: int) -> InferenceSession:
        emulation.write(path, emulated, rounded=True, attention_chunks=chunks)
        return cpu_session.load(emulated, "basic", keep_memory=False)

    as_it_is = compare(load_file, 1, file)
    try:
        report = compare(load_emulated, math.inf, f"{file} with every float16 value rounded")
    finally:
        emulated.unlink(missing_ok=True)
    return report | {"texts": len(texts.rows), "flips": 0, "as_it_is": {"max_abs_delta": as_it_is["max_abs_delta"]}}


def _refuse_flips(logits: Array, texts: Texts, activation: str, name: str) -> None:
    expected = np.concatenate([case.expected for case in texts.cases])
    flipped = find_flips(logits, expected, activation)
    if flipped.any():
        row = int(flipped.argmax())
        raise ParityError(
            f"{name} labels {int(flipped.sum())} of {len(flipped)} texts differently from PyTorch, the first of them "
            f"{texts.rows[row]!r:.200} (logits {logits[row].tolist()}, expected {expected[row].tolist()}); {ADVICE}"
        )
