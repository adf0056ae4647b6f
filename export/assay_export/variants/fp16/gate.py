"""The fp16 gate: answers against float32 PyTorch's, by the file itself and with every float16 value rounded.

ONNX Runtime's CPU provider rounds few float16 activations (float32_twin.py says why): the file itself is run to prove
what was written, its rounded twin to prove what a GPU will store. At lengths whose scores take gigabytes, where the
file itself would need more memory than a machine may have, the twin answers alone, its attention in blocks.
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
from assay_export.gates.parity import Case, Logits
from assay_export.graphs import cpu_session
from assay_export.graphs.cpu_session import GRAPH_OPTIMIZATION
from assay_export.graphs.writer import Array, Dialect
from assay_export.variants.fp16 import float32_twin, query_blocks

MAX_DELTA = 2e-2
CURE = "nothing was written. This checkpoint does not fit float16: export it without fp16"


@dataclass(frozen=True)
class Texts:
    """Cases of real text whose labels must not flip, each with the row that it came from."""

    cases: Sequence[Case]
    rows: Sequence[tuple[str, ...]]


def hold(
    path: Path,
    file: str,
    cases: Sequence[Case],
    texts: Texts,
    labels: int,
    activation: str,
    advance: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Holds the fp16 graph at `path`, and its rounded twin, to the gate.

    Args:
        file: the graph's name in the bundle, for messages.
        cases: shapes, whose labels mean nothing.
        advance: called after each case, at most len(cases) + len(texts.cases) times for each of the two.

    Returns:
        The report of the rounded twin as the manifest stores it, with what the file itself gave in `as_it_is`.

    Raises:
        ParityError: some |delta logit| is above MAX_DELTA or not a number, or a label flips.
    """

    def report(load: Callable[[int], InferenceSession], longest: float, name: str) -> dict[str, Any]:
        """Of the cases whose queries make at most `longest` blocks; `load` gives the graph for a number of blocks."""
        shapes = [case for case in cases if query_blocks.count(case.feed) <= longest]
        kept = [index for index, case in enumerate(texts.cases) if query_blocks.count(case.feed) <= longest]
        chosen = Texts([texts.cases[index] for index in kept], [texts.rows[index] for index in kept])
        every = [*shapes, *chosen.cases]
        loaded: tuple[int, InferenceSession] | None = None
        logits: list[Logits] = []

        def answer(feed: Feed) -> Logits:
            nonlocal loaded
            blocks = query_blocks.count(feed)
            if loaded is None or loaded[0] != blocks:
                loaded = None  # before the next is loaded: two of them would be in memory
                loaded = blocks, load(blocks)
            answered = loaded[1].run(["logits"], feed)[0]
            if not np.isfinite(answered).all():
                raise ParityError(f"{name} answers NaN or infinity at {every[len(logits)].shape}; {CURE}")
            logits.append(answered)
            advance()
            return answered

        result = parity.compare(answer, every, labels, MAX_DELTA, name, CURE)
        _refuse_flips(np.concatenate(logits[len(shapes) :]), chosen, activation, name)
        return result

    def load_file(blocks: int) -> InferenceSession:  # noqa: ARG001
        return cpu_session.load(path, GRAPH_OPTIMIZATION[Dialect.PORTABLE], keep_memory=False)

    twin = path.with_name(f"{path.stem}.rounded.onnx")

    def load_twin(blocks: int) -> InferenceSession:
        float32_twin.write(path, twin, rounded=True, attention_blocks=blocks)
        return cpu_session.load(twin, "basic", keep_memory=False)

    as_it_is = report(load_file, 1, file)
    try:
        result = report(load_twin, math.inf, f"{file} with every float16 value rounded")
    finally:
        twin.unlink(missing_ok=True)
    return result | {"texts": len(texts.rows), "flips": 0, "as_it_is": {"max_abs_delta": as_it_is["max_abs_delta"]}}


def _refuse_flips(logits: Array, texts: Texts, activation: str, name: str) -> None:
    expected = np.concatenate([case.expected for case in texts.cases])
    if activation == "identity":
        return
    if activation == "softmax":
        flipped = logits.argmax(-1) != expected.argmax(-1)
    else:
        flipped = ((logits > 0) != (expected > 0)).any(axis=-1)
    if flipped.any():
        row = int(flipped.argmax())
        raise ParityError(
            f"{name} gives {int(flipped.sum())} of {len(flipped)} texts another label than PyTorch, the first "
            f"{texts.rows[row]!r:.200} ({logits[row].tolist()} instead of {expected[row].tolist()}); {CURE}"
        )
