"""The parity gate: compare a graph's logits with PyTorch's, on a grid of shapes and on real text.

Every graph is compared before it enters a bundle, and its report goes into the manifest.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from assay_export.checkpoint.reference import Feed, ReferenceModel
from assay_export.errors import CheckpointError, ParityError

__all__ = ["FP32_MAX_DELTA", "Case", "Logits", "compare", "count_cases", "encode", "make_cases"]

FP32_MAX_DELTA = 1e-4
"""The largest |delta logit| of a float32 graph. Float32 rounding over a few dozen layers is of the order of 1e-6 on
logits of order one."""

# Lengths next to the powers of two, where buckets, windows and kernels change. The last is for models that read more
# than 1,024 tokens.
LENGTHS = (1, 2, 3, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 512, 1031)
PADDED_LENGTHS = (3, 65, 130, 512)
BATCHED_LENGTHS = (2, 64, 129)
BATCH = 3

Logits = npt.NDArray[np.float32]
"""Logits float32 [batch, labels]."""

REPORT_IT = (
    "nothing was written. Please report this with the checkpoint's config.json, and with the difference between "
    "PyTorch's own float32 and float64 logits: no graph can come closer than that"
)


@dataclass(frozen=True)
class Case:
    """One input with PyTorch's logits for it.

    Attributes:
        shape: A description for reports, such as "batch 3, length 65, padded".
        feed: The input.
        expected: PyTorch's logits, float32 [batch, labels].
    """

    shape: str
    feed: Feed
    expected: Logits

    @property
    def is_padded(self) -> bool:
        """Whether any row has padding."""
        return not self.feed["attention_mask"].all()


def make_cases(
    reference: ReferenceModel,
    tokenizer: Tokenizer,
    rows: Sequence[tuple[str, ...]],
    max_length: int,
    pad_token_id: int,
    input_names: Sequence[str],
    advance: Callable[[], None] = lambda: None,
) -> list[Case]:
    """Run PyTorch on a grid of shapes and on real text.

    Args:
        reference: The PyTorch model.
        tokenizer: The checkpoint's tokenizer.
        rows: Real text, one or two texts per row.
        max_length: The longest input in tokens; longer text is truncated.
        pad_token_id: The token that fills padded rows of the grid.
        input_names: The inputs to keep in the feeds.
        advance: Called after each case.

    Returns:
        The cases, the grid first and then one case per row of `rows`.

    Raises:
        CheckpointError: PyTorch itself answers NaN or infinity.
    """
    feeds = [*_grid(tokenizer.get_vocab_size(), max_length, pad_token_id), *_real(tokenizer, rows, max_length)]
    result = []
    for shape, feed in feeds:
        feed = {name: array for name, array in feed.items() if name in input_names}
        case = Case(shape, feed, reference.logits(feed))
        if not np.isfinite(case.expected).all():
            raise CheckpointError(
                f"PyTorch itself answers {case.expected.tolist()} at {shape}, expected finite logits: the checkpoint's "
                "weights are damaged. Download or save the checkpoint again"
            )
        result.append(case)
        advance()
    return result


def count_cases(rows: Sequence[object], max_length: int) -> int:
    """Count the cases that `make_cases` will return, for a progress bar."""
    return len(list(_grid(2, max_length, 0))) + len(rows)


def compare(
    run: Callable[[Feed], Logits],
    cases: Sequence[Case],
    labels: int,
    threshold: float,
    graph: str,
    advice: str = REPORT_IT,
) -> dict[str, Any]:
    """Run every case through a graph and compare its logits with PyTorch's.

    Args:
        run: The graph as a function, from a feed to logits float32 [batch, labels].
        cases: The inputs, with PyTorch's logits.
        labels: The number of logits per row.
        threshold: The largest |delta logit| allowed.
        graph: The graph's file name, for messages.
        advice: What to do if the graph differs, for messages.

    Returns:
        The report as the manifest stores it.

    Raises:
        ParityError: Some |delta logit| is above `threshold` or is NaN, or the logits have another shape. The message
            names the worst shape of the grid.
    """
    deltas: dict[str, list[npt.NDArray[np.float64]]] = {}
    agreeing = rows = 0
    for case in cases:
        logits = run(case.feed)
        if logits.shape != case.expected.shape:
            raise ParityError(
                f"{graph} returns logits of shape {list(logits.shape)} at {case.shape}, expected "
                f"{list(case.expected.shape)}; nothing was written. Please report this with config.json"
            )
        delta = np.abs(logits.astype(np.float64) - case.expected)
        deltas.setdefault(case.shape, []).append(np.where(np.isnan(delta), np.inf, delta))
        agreeing += int((logits.argmax(-1) == case.expected.argmax(-1)).sum())
        rows += len(logits)
    worst_by_shape = {shape: float(max(part.max() for part in parts)) for shape, parts in deltas.items()}
    worst = max(worst_by_shape, key=lambda shape: worst_by_shape[shape])
    if not worst_by_shape[worst] <= threshold:
        raise ParityError(
            f"{graph} differs from PyTorch by {worst_by_shape[worst]:.2e} at {worst} (the gate allows "
            f"{threshold:.0e}); {advice}"
        )
    every_delta = np.concatenate([part.ravel() for parts in deltas.values() for part in parts])
    return {
        "max_abs_delta": worst_by_shape[worst],
        "mean_abs_delta": float(every_delta.mean()),
        "label_agreement": agreeing / rows if labels > 1 else None,
        "rows": rows,
        "threshold": threshold,
        "worst": worst,
        "shapes": [
            {"shape": shape, "rows": sum(map(len, deltas[shape])), "max_abs_delta": delta}
            for shape, delta in worst_by_shape.items()
        ],
    }


def _grid(vocabulary: int, max_length: int, pad_token_id: int) -> Iterator[tuple[str, Feed]]:
    """Yield pseudo-random token ids, in shapes that are known to break graphs."""
    generator = np.random.default_rng(0)

    def feed(batch: int, length: int) -> Feed:
        input_ids = generator.integers(0, vocabulary, (batch, length))
        return {
            "input_ids": input_ids,
            "attention_mask": np.ones_like(input_ids),
            "token_type_ids": np.zeros_like(input_ids),
        }

    for length in LENGTHS:
        if length <= max_length:
            yield f"batch 1, length {length}", feed(1, length)
    for length in BATCHED_LENGTHS:
        if length <= max_length:
            yield f"batch {BATCH}, length {length}", feed(BATCH, length)
    for length in PADDED_LENGTHS:
        if length <= max_length:
            padded = feed(BATCH, length)
            for row, real in enumerate((length, length // 2 + 1, 2)):
                padded["attention_mask"][row, real:] = 0
                padded["input_ids"][row, real:] = pad_token_id
            yield f"batch {BATCH}, length {length}, padded", padded


def _real(tokenizer: Tokenizer, rows: Sequence[tuple[str, ...]], max_length: int) -> Iterator[tuple[str, Feed]]:
    for feed in encode(tokenizer, rows, max_length):
        yield "real text, batch 1", feed


def encode(tokenizer: Tokenizer, rows: Sequence[tuple[str, ...]], max_length: int) -> list[Feed]:
    """Encode rows of one or two texts.

    Args:
        tokenizer: The tokenizer; its truncation is off again afterwards.
        rows: The texts.
        max_length: The longest input in tokens. Longer rows are truncated, the longer text of a pair first.

    Returns:
        Each row as a batch of one: input_ids, attention_mask and token_type_ids, int64 [1, sequence].
    """
    tokenizer.enable_truncation(max_length, strategy="longest_first")
    try:
        encodings = [tokenizer.encode(*row) for row in rows]
    finally:
        tokenizer.no_truncation()
    return [
        {
            "input_ids": np.array([encoding.ids], np.int64),
            "attention_mask": np.ones((1, len(encoding.ids)), np.int64),
            "token_type_ids": np.array([encoding.type_ids], np.int64),
        }
        for encoding in encodings
    ]
