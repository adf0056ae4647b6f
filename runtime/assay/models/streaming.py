"""Answers to an endless stream of rows, window by window: what reads the next rows and cuts them into tokens does so
while the model runs, and one row that cannot be answered does not cost the others their answers."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from assay.errors import AssayError, InputError
from assay.inputs.tokenization import Tokens
from assay.inputs.validation import Row
from assay.models.base import Float32, Model, not_finite
from assay.models.lookahead import one_ahead

__all__ = ["Answered", "answer_windows"]


class Answered(NamedTuple):
    """A window's answers: `logits` [n, labels], NaN where row i has an error in `errors[i]`, and the `tokens` run."""

    logits: Float32
    tokens: int
    errors: dict[int, AssayError]


def answer_windows(model: Model, windows: Iterable[Sequence[Row]], *, truncate: bool = False) -> Iterator[Answered]:
    """The answers to each of `windows`, in order. Rows have passed validation.py.

    A window's answers depend on its own rows alone, so that work that stops between two windows can go on there. While
    a window runs, a thread takes the next from the iterable and tokenises it. Errors of single rows (too long, logits
    that are not finite) speak of "the text" and have no row. Raises what the iterable and the session raise.
    """
    for encoded in one_ahead(model.encode(window, truncate=truncate) for window in windows):
        yield _answer(model, encoded)


def _answer(model: Model, encoded: Sequence[Tokens | InputError]) -> Answered:
    errors: dict[int, AssayError] = {}
    rows: list[int] = []
    tokens: list[Tokens] = []
    for index, item in enumerate(encoded):
        if isinstance(item, InputError):
            errors[index] = item
        else:
            rows.append(index)
            tokens.append(item)
    logits = np.full((len(encoded), len(model.labels)), np.nan, dtype=np.float32)
    if rows:
        logits[rows] = model.answers(tokens)
    for index in rows:
        if not np.isfinite(logits[index]).all():
            errors[index] = not_finite(logits[index], None)
            logits[index] = np.nan
    return Answered(logits, sum(len(row.ids) for row in tokens), errors)
