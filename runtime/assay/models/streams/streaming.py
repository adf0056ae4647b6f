"""Answers to an endless stream of rows, window by window.

While the model runs a window, a thread reads and tokenises the next. A row that cannot be answered does not cost the
others their answers.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from assay.errors import AssayError
from assay.inputs.tokenization import Tokens
from assay.inputs.validation import Row
from assay.models.base import Float32, Model, runner_of
from assay.models.runner import Runner, non_finite_error
from assay.models.streams.lookahead import look_ahead

__all__ = ["Answered", "answer_windows"]


@dataclass(frozen=True, slots=True)
class Answered:
    """The answers to a window of n rows.

    Attributes:
        rows: The indices of the rows that have an answer, ascending.
        logits: Their logits, float32 [len(rows), labels], all finite.
        errors: Why each of the other rows has none, by its index.
        tokens: How many tokens were run.
    """

    rows: list[int]
    logits: Float32
    errors: dict[int, AssayError]
    tokens: int

    def __len__(self) -> int:
        return len(self.rows) + len(self.errors)


def answer_windows(
    model: Model, windows: Iterable[Sequence[Row | AssayError]], *, truncate: bool = False
) -> Iterator[Answered]:
    """Yield the answers to each window, in order.

    The answers to a window depend on its own rows alone, so work that stopped between two windows can go on there.

    Args:
        model: The model to ask.
        windows: Sequences of rows that `assay.inputs.validation` accepted, or of errors in the place of rows. A thread
            takes the next window from the iterable while the current one runs.
        truncate: Cut texts that the bundle would refuse as too long.

    Raises what the iterable and the session raise. Errors of rows that only the model finds (too long, logits that are
    not finite) call the row "the text" and have no row index.
    """
    runner = runner_of(model)
    for encoded in look_ahead(_encode(runner, window, truncate) for window in windows):
        yield _answer(runner, encoded, len(model.labels))


def _encode(runner: Runner, window: Sequence[Row | AssayError], truncate: bool) -> list[Tokens | AssayError]:
    tokens = iter(runner.encode([row for row in window if not isinstance(row, AssayError)], truncate=truncate))
    return [row if isinstance(row, AssayError) else next(tokens) for row in window]


def _answer(runner: Runner, encoded: Sequence[Tokens | AssayError], labels: int) -> Answered:
    errors = {index: item for index, item in enumerate(encoded) if isinstance(item, AssayError)}
    tokens = [item for item in encoded if not isinstance(item, AssayError)]
    asked = [index for index in range(len(encoded)) if index not in errors]
    logits = runner.answer(tokens) if tokens else np.empty((0, labels), dtype=np.float32)
    finite = np.isfinite(logits).all(axis=1)
    for place in np.flatnonzero(~finite):
        errors[asked[place]] = non_finite_error(logits[place], None)
    rows = [index for index in asked if index not in errors]
    return Answered(rows, logits[finite], errors, sum(len(row.ids) for row in tokens))
