"""Rows from an iterable that may never end, answered in their order in bounded memory."""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np

from assay.errors import AssayError, InputError
from assay.inputs.tokenization import Tokens
from assay.inputs.validation import Kind, Row, check_row
from assay.models.runner import Float32, Runner, non_finite_error

__all__ = ["answer_stream"]


def answer_stream(
    runner: Runner, rows: Iterable[object], kind: Kind, *, batch_size: int, truncate: bool
) -> Iterator[Float32]:
    """Yield the logits [n, labels] of up to `batch_size` rows at a time, in the order of the rows.

    The iterable is read in the caller's thread, and no further than the rows that are answered next. A row without an
    answer raises its error after the answers to all rows before it.

    Args:
        runner: That of the model.
        rows: Texts or pairs.
        kind: Whether a row is a text or a pair.
        batch_size: How many rows are read before they are answered.
        truncate: Cut a text that the bundle would refuse as too long.

    Raises:
        InputError: A row is not a text or a pair, or is too long; with the row's index.
        NumericalError: A logit is NaN or infinite; with the row's index.
    """
    remaining = iter(rows)
    start = 0
    while window := list(islice(remaining, batch_size)):
        checked, error = _check_rows(window, kind, start)
        tokens, late_error = _take_tokens(runner, checked, truncate, start)
        logits = runner.answer(tokens) if tokens else None
        if logits is not None:
            finite = np.isfinite(logits).all(axis=1)
            bad = len(logits) if finite.all() else int(np.argmin(finite))
            if bad:
                yield logits[:bad]
            if bad < len(logits):
                raise non_finite_error(logits[bad], start + bad)
        error = late_error or error  # a row that is too long comes before the one that ended the window
        if error is not None:
            raise error
        start += len(window)


def _check_rows(window: list[object], kind: Kind, start: int) -> tuple[list[Row], AssayError | None]:
    """Return the rows before the first one that is not a text or a pair, and its error."""
    rows: list[Row] = []
    for index, row in enumerate(window, start):
        try:
            rows.append(check_row(row, kind, f"row {index}", index))
        except InputError as error:
            return rows, error
    return rows, None


def _take_tokens(runner: Runner, rows: list[Row], truncate: bool, start: int) -> tuple[list[Tokens], AssayError | None]:
    """Return the tokens of the rows before the first one that is too long, and its error."""
    tokens: list[Tokens] = []
    for index, item in enumerate(runner.encode(rows, truncate=truncate), start):
        if isinstance(item, AssayError):
            return tokens, InputError(f"row {index}: {item}", row=index)
        tokens.append(item)
    return tokens, None
