"""The parity gate: compare a graph's logits with PyTorch's, on a grid of shapes and on real text.

Every graph is compared before it enters a bundle, and its report goes into the manifest.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from assay.errors import one_line
from assay_export.checkpoint.reference import Feed, ReferenceModel, refuse_infinite
from assay_export.errors import CheckpointError, ParityError
from assay_export.gates.random_rows import RandomRows, count_grid, make_grid

__all__ = ["REPORT_IT", "Case", "Logits", "check", "compare", "count_cases", "encode", "make_cases", "measure"]

Logits = npt.NDArray[np.float32]
"""Logits float32 [batch, labels]."""

REPORT_IT = "nothing was written. Please report this with the checkpoint's config.json"


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
    special_ids: Collection[int] = (),
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
        special_ids: Ids with a meaning of their own to the model, in addition to the tokenizer's special tokens.

    Returns:
        The cases, the grid first and then one case per row of `rows`.

    Raises:
        CheckpointError: PyTorch itself does not answer, or with NaN or infinity.
    """
    random_rows = RandomRows(tokenizer, [pad_token_id, *special_ids])
    feeds = [*make_grid(random_rows, max_length, pad_token_id), *_real(tokenizer, rows, max_length)]
    result = []
    for shape, feed in feeds:
        feed = {name: array for name, array in feed.items() if name in input_names}
        try:
            expected = reference.logits(feed)
        except Exception as error:  # whatever a module raises, such as IndexError beyond its table of positions
            raise CheckpointError(
                f"PyTorch itself does not answer at {shape}: {type(error).__name__}: {one_line(error, 300)}; is "
                "config.json the one that was saved with these weights?"
            ) from error
        refuse_infinite(reference, expected, shape)
        result.append(Case(shape, feed, expected))
        advance()
    return result


def count_cases(rows: Sequence[object], max_length: int) -> int:
    """Count the cases that `make_cases` will return, for a progress bar."""
    return count_grid(max_length) + len(rows)


def compare(
    run: Callable[[Feed], Logits],
    cases: Sequence[Case],
    labels: int,
    threshold: float,
    graph: str,
    advice: str = REPORT_IT,
) -> dict[str, Any]:
    """Run every case through a graph, compare its logits with PyTorch's, and check the differences.

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
        ParityError: See `measure` and `check`.
    """
    return check(measure(run, cases, labels, graph), threshold, graph, advice)


def measure(run: Callable[[Feed], Logits], cases: Sequence[Case], labels: int, graph: str) -> dict[str, Any]:
    """Run every case through a graph and measure the differences from PyTorch's logits. A NaN counts as infinite.

    Args:
        run: The graph as a function, from a feed to logits float32 [batch, labels].
        cases: The inputs, with PyTorch's logits.
        labels: The number of logits per row.
        graph: The graph's file name, for messages.

    Returns:
        The report as the manifest stores it, without the threshold.

    Raises:
        ParityError: The logits have another shape.
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
    every_delta = np.concatenate([part.ravel() for parts in deltas.values() for part in parts])
    return {
        "max_abs_delta": worst_by_shape[worst],
        "mean_abs_delta": float(every_delta.mean()),
        "label_agreement": agreeing / rows if labels > 1 else None,
        "rows": rows,
        "worst": worst,
        "shapes": [
            {"shape": shape, "rows": sum(map(len, deltas[shape])), "max_abs_delta": delta}
            for shape, delta in worst_by_shape.items()
        ],
    }


def check(report: dict[str, Any], threshold: float, graph: str, advice: str = REPORT_IT) -> dict[str, Any]:
    """Check the differences that `measure` has found.

    Args:
        report: The report of `measure`.
        threshold: The largest |delta logit| allowed.
        graph: The graph's file name, for messages.
        advice: What to do if the graph differs, for messages.

    Returns:
        The report with the threshold.

    Raises:
        ParityError: Some |delta logit| is above `threshold` or is NaN. The message names the worst shape of the grid.
    """
    if not report["max_abs_delta"] <= threshold:
        raise ParityError(
            f"{graph} differs from PyTorch by {report['max_abs_delta']:.2e} at {report['worst']} (the gate allows "
            f"{threshold:.0e}); {advice}"
        )
    return report | {"threshold": threshold}


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
