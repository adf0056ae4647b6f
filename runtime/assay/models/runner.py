"""Runs rows through a bundle's tokenizer and session. What the logits mean is not known here.

A Runner is what a Model is made of. Users of a model do not see it; assay.aio, assay verify, assay warmup and
`streaming` take it from a model with `assay.models.base.runner_of`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from assay.errors import InputError, NumericalError
from assay.inputs.crossed_pairs import CrossedPairs
from assay.inputs.tokenization import BundleTokenizer, Tokens
from assay.inputs.validation import Row
from assay.models.streams.lookahead import look_ahead
from assay.ort.batching import NO_LIMITS, Limits
from assay.ort.engine import Engine
from assay.ort.forking import ForkedEngine

__all__ = ["Float32", "Runner", "non_finite_error", "refuse_non_finite"]

Float32 = npt.NDArray[np.float32]

# Rows tokenised before any is run: enough to find rows of equal length, and a bound on the token ids in memory.
_ROWS_PER_WINDOW = 4_096


class Runner:
    """A tokenizer and a session.

    Attributes:
        tokenizer: The bundle's tokenizer.
        engine: The session with its threads, which the child of a fork makes anew.
    """

    def __init__(
        self, tokenizer: BundleTokenizer, engine: Engine, make_engine: Callable[[], Engine], labels: int
    ) -> None:
        """Take `engine`; `make_engine` makes another one in the child of a fork. The head has `labels` outputs."""
        self.tokenizer = tokenizer
        self.engine = ForkedEngine(engine, make_engine)
        self._labels = labels

    def run(
        self,
        rows: Sequence[Row],
        truncate: bool,
        single: bool,
        limits: Limits = NO_LIMITS,
        report: Callable[[int], object] | None = None,
    ) -> Float32:
        """Return the logits [n, labels] of rows that were checked.

        Args:
            rows: n texts or pairs that `assay.inputs.validation` accepted.
            truncate: Cut texts that the bundle would refuse as too long.
            single: Errors call the one row "the text" and have no row index.
            limits: The caller's limits for a call of the session.
            report: Takes the number of rows of each call that ended.

        Raises:
            InputError: A row is too long.
            NumericalError: A logit is NaN or infinite.
        """
        return self._answer(self._windows(rows, truncate, single), len(rows), single, limits, report)

    def run_crossed(
        self,
        firsts: Sequence[str],
        seconds: Sequence[str],
        truncate: bool,
        limits: Limits = NO_LIMITS,
        report: Callable[[int], object] | None = None,
    ) -> Float32:
        """Return the logits [firsts, seconds, labels] of the pairs of each first text with each second text.

        Every text is encoded once. Errors have the index of the pair: those of the first text come first.

        Args:
            firsts: Texts that `assay.inputs.validation` accepted.
            seconds: The same, at least one.
            truncate: Cut texts that the bundle would refuse as too long.
            limits: As `run`.
            report: As `run`.

        Raises:
            InputError: A pair is too long.
            NumericalError: A logit is NaN or infinite.
        """
        crossed = CrossedPairs(self.tokenizer, seconds)
        step = max(1, _ROWS_PER_WINDOW // len(seconds))
        windows = (
            (start * len(seconds), crossed.encode(firsts[start : start + step], truncate, start * len(seconds)))
            for start in range(0, len(firsts), step)
        )
        ahead = look_ahead(windows) if len(firsts) > step else windows
        logits = self._answer(ahead, len(firsts) * len(seconds), False, limits, report)
        return logits.reshape(len(firsts), len(seconds), self._labels)

    def encode(self, rows: Sequence[Row], *, truncate: bool) -> list[Tokens | InputError]:
        """Return the tokens of each row, or why the model cannot read it."""
        return self.tokenizer.encode_each(rows, truncate)

    def answer(
        self, tokens: Sequence[Tokens], limits: Limits = NO_LIMITS, report: Callable[[int], object] | None = None
    ) -> Float32:
        """Return the logits [n, labels] of n tokenised rows. They may be NaN or infinite. See `run` for the rest."""
        return self.engine.get().answer(tokens, self._labels, limits, report)

    def build(self, length: int) -> bool:
        """Build the TensorRT engine for rows of `length` tokens. Returns False where it was built before."""
        return self.engine.get().session.build(length)

    def _answer(
        self,
        windows: Iterable[tuple[int, list[Tokens]]],
        rows: int,
        single: bool,
        limits: Limits = NO_LIMITS,
        report: Callable[[int], object] | None = None,
    ) -> Float32:
        """Return the logits [rows, labels] of `windows` of tokenised rows, each with the index of its first row."""
        engine = self.engine.get()  # this call keeps its session even if another thread closes the model
        logits = np.empty((rows, self._labels), dtype=np.float32)
        for start, tokens in windows:
            logits[start : start + len(tokens)] = engine.answer(tokens, self._labels, limits, report)
        refuse_non_finite(logits, single)
        return logits

    def _windows(self, rows: Sequence[Row], truncate: bool, single: bool) -> Iterator[tuple[int, list[Tokens]]]:
        """Yield the tokens of windows of `rows`, each with the index of its first row; tokenised ahead."""
        windows = (
            (start, self.tokenizer.encode(rows[start : start + _ROWS_PER_WINDOW], truncate, None if single else start))
            for start in range(0, len(rows), _ROWS_PER_WINDOW)
        )
        return look_ahead(windows) if len(rows) > _ROWS_PER_WINDOW else windows


def non_finite_error(logits: Float32, row: int | None) -> NumericalError:
    """Return the error of a row whose `logits` [labels] are NaN or infinite; None means a text alone."""
    where = "the text" if row is None else f"row {row}"
    return NumericalError(
        f"{where} has the logits {logits.tolist()}, expected finite numbers; use the variant 'fp32', and "
        "check the checkpoint with assay verify",
        row=row,
    )


def refuse_non_finite(logits: Float32, single: bool) -> None:
    """Raise NumericalError for the first row of `logits` [n, labels] that has NaN or infinity."""
    finite = np.isfinite(logits).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise non_finite_error(logits[row], None if single else row)
