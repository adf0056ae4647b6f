"""Long texts: read as overlapping windows, whose scores are aggregated; or refused, or cut.

Every window has the special tokens of a row and as many tokens of the text as fit. Neighbours share a quarter of their
tokens, and the last window ends with the text. For a pair the second text is in windows, each with all of
the first text, which must leave at least half of the room to the second.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from assay.errors import InputError
from assay.inputs.tokenization import Tokens
from assay.inputs.validation import Row, describe
from assay.models.runner import Float32, Runner, non_finite_error
from assay.ort.batching import NO_LIMITS, Limits

__all__ = [
    "Aggregate",
    "Long",
    "LongScores",
    "check_aggregate",
    "check_long",
    "count_windows",
    "score_long",
]

Long = Literal["error", "truncate", "windows"]
Aggregate = Literal["max", "mean", "first"]

_WINDOWS_PER_RUN = 1_024  # a bound on the token ids in memory


class LongScores(NamedTuple):
    """Aggregated `scores`, float32 [n, labels], and the number of `windows` of each row, int64 [n]."""

    scores: Float32
    windows: npt.NDArray[np.int64]


def check_long(long: object, truncate: bool) -> Long | None:
    """Return what to do with long texts; None for what the bundle says.

    Raises:
        InputError: `long` is something else, or given together with `truncate`.
    """
    if long is None:
        return None
    known: tuple[Long, ...] = ("error", "truncate", "windows")
    for name in known:
        if isinstance(long, str) and long == name:
            if truncate:
                raise InputError(f"found truncate=True and long={name!r}, expected one of them")
            return name
    found = repr(long)[:80] if isinstance(long, str) else describe(long)
    raise InputError(f"long is {found}, expected 'error', 'truncate' or 'windows', or None for what the bundle does")


def check_aggregate(aggregate: object) -> Aggregate:
    """Return `aggregate`. Raises InputError unless it is "max", "mean" or "first"."""
    known: tuple[Aggregate, ...] = ("max", "mean", "first")
    for name in known:
        if isinstance(aggregate, str) and aggregate == name:
            return name
    found = repr(aggregate)[:80] if isinstance(aggregate, str) else describe(aggregate)
    raise InputError(f"aggregate is {found}, expected 'max', 'mean' or 'first'")


def count_windows(runner: Runner, rows: Sequence[Row], first: int | None) -> npt.NDArray[np.int64]:
    """Return the number of windows of each row, int64 [n]; 1 for a row that the model reads whole."""
    return np.array([len(windows) for windows in runner.tokenizer.encode_windows(rows, first)], dtype=np.int64)


def score_long(
    runner: Runner,
    rows: Sequence[Row],
    long: Long,
    aggregate: Aggregate,
    activate: Callable[[Float32], Float32],
    *,
    single: bool,
    limits: Limits = NO_LIMITS,
    report: Callable[[int], object] | None = None,
) -> LongScores:
    """Return the scores of rows of any length.

    Args:
        runner: That of the model.
        rows: n texts or pairs that `assay.inputs.validation` accepted.
        long: What to do with long rows.
        aggregate: Over the windows of a row: the highest or the mean score of each label, or those of the first window.
        activate: Turns logits [n, labels] into scores.
        single: Errors call the one row "the text" and have no row index.
        limits: The caller's limits for a call of the session.
        report: Takes the number of rows that were just answered.

    Raises:
        InputError: A row is too long, or the first text of a pair is.
        NumericalError: A logit is NaN or infinite.
    """
    first = None if single else 0
    if long == "truncate" or not rows:
        return LongScores(activate(runner.run(rows, True, single, limits, report)), np.ones(len(rows), dtype=np.int64))
    counts: list[int] = []
    scores: list[Float32] = []
    for start, windows in _batch(_encode(runner, rows, long, first)):
        ran = [tokens for row in windows for tokens in (row[:1] if aggregate == "first" else row)]
        sizes = [1 if aggregate == "first" else len(row) for row in windows]
        logits = runner.answer(ran, limits, report and _count_rows(report, len(windows), len(ran)))
        begins = np.cumsum([0, *sizes[:-1]])
        finite = np.isfinite(logits).all(axis=1)
        if not finite.all():
            bad = int(np.argmin(finite))
            row = start + int(np.searchsorted(begins, bad, side="right")) - 1
            raise non_finite_error(logits[bad], None if single else row)
        activated = activate(logits)
        if aggregate == "mean":
            summed = np.add.reduceat(activated, begins, axis=0) / np.array(sizes, np.float32)[:, None]
            scores.append(summed.astype(np.float32))
        else:
            scores.append(np.maximum.reduceat(activated, begins, axis=0))
        counts += [len(row) for row in windows]
    return LongScores(np.concatenate(scores), np.array(counts, dtype=np.int64))


def _count_rows(report: Callable[[int], object], rows: int, windows: int) -> Callable[[int], None]:
    """Return what takes the windows of each call that ended and reports the rows that they amount to.

    A call has windows of several rows, and a row has windows in several calls, so rows are counted in proportion.
    """
    ended = 0

    def take(count: int) -> None:
        nonlocal ended
        before, ended = ended, ended + count
        report(rows * ended // windows - rows * before // windows)

    return take


def _encode(runner: Runner, rows: Sequence[Row], long: Long, first: int | None) -> Iterator[list[Tokens]]:
    for index, windows in enumerate(runner.tokenizer.encode_windows(rows, first)):
        if long == "error" and len(windows) > 1:
            where = "the text" if first is None else f"row {index}"
            raise InputError(
                f"{where} is longer than the {len(windows[0].ids):,} tokens that the model reads: shorten it, or pass "
                "long='truncate' or long='windows'",
                row=None if first is None else index,
            )
        yield windows


def _batch(rows: Iterator[list[Tokens]]) -> Iterator[tuple[int, list[list[Tokens]]]]:
    """Yield rows together until they have _WINDOWS_PER_RUN windows, each time with the index of the first row."""
    start, held, count = 0, [], 0
    for row in rows:
        held.append(row)
        count += len(row)
        if count >= _WINDOWS_PER_RUN:
            yield start, held
            start, held, count = start + len(held), [], 0
    if held:
        yield start, held
