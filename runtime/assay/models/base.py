"""What Classifier and Scorer share: from rows to logits in the rows' order. What logits mean is not known here."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from assay.bundle.folder import Bundle, Choice
from assay.bundle.manifest import Manifest
from assay.errors import AssayError, InputError, NumericalError
from assay.inputs.pipeline import PipelineAnswer, check_top_k, nest, read_inputs
from assay.inputs.tokenization import BundleTokenizer, Tokens
from assay.inputs.validation import Row, check_batch, check_flag, check_single
from assay.models.lookahead import one_ahead
from assay.ort.engine import Engine
from assay.ort.forking import ForkedEngine

__all__ = ["Float32", "Model", "not_finite"]

Float32 = npt.NDArray[np.float32]

# Rows tokenised before any is run: enough to find rows of equal length, and a bound on the token ids held at once.
_ROWS_PER_WINDOW = 4_096


class Model:
    """A loaded bundle: made by assay.load, as a Classifier or a Scorer.

    May be used from several threads at once, and in the children of a fork, where its session is made anew. A pickle of
    it holds the arguments of assay.load and no weights.
    """

    def __init__(
        self,
        bundle: Bundle,
        choice: Choice,
        engine: Engine,
        tokenizer: BundleTokenizer,
        info: Mapping[str, Any],
        make_engine: Callable[[], Engine],
        reload: Callable[[], "Model"] | None = None,
    ) -> None:
        """`make_engine` makes another `engine`, for the child of a fork; `reload` another model, for a pickle."""
        self._bundle = bundle
        self._choice = choice
        self._engine = ForkedEngine(engine, make_engine)
        self._tokenizer = tokenizer
        self._info = dict(info)
        self._reload = reload

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels in logit order."""
        return self._bundle.manifest.labels

    @property
    def manifest(self) -> Manifest:
        """The bundle's manifest, assay.json."""
        return self._bundle.manifest

    @property
    def info(self) -> dict[str, Any]:
        """What runs: path, device, variant, dialect, graph (file), providers, threads, and why this device and variant.

        On a GPU also "nodes", how many operators each provider runs; those of the CPU compute shapes.
        """
        return dict(self._info)

    def logits(self, batch: object, *, truncate: bool = False) -> Float32:
        """The head's raw outputs, float32 [n, labels], for an iterable of n rows, in its order.

        A row is a text, or for a bundle of pairs a tuple of two. No rows give [0, labels]. Rows of equal length share a
        call, which changes their logits in the last bits at most. `truncate` lets a text be cut where the bundle would
        refuse it.

        Raises InputError, and NumericalError where a logit is NaN or infinite, both with the row's index.
        """
        return self._run(check_batch(batch, self.manifest.input), check_flag(truncate, "truncate"), single=False)

    def __call__(self, inputs: object, *, top_k: object = "", truncate: bool = False) -> PipelineAnswer:
        """Labels with scores, like transformers' text-classification pipeline (4.57); assay/pipeline.py has the table.

        `inputs` is a text, a dict of "text" and, for pairs, "text_pair", or a list of these. `top_k` not given means
        the best label alone; an int that many, best first; None all. Raises what `logits` raises.
        """
        check_top_k(top_k)
        rows = read_inputs(inputs, self.manifest.input)
        logits = self._run(rows, check_flag(truncate, "truncate"), single=isinstance(inputs, str | dict))
        return nest(inputs, self.labels, self._scores(logits).tolist(), top_k)

    def answers(self, tokens: Sequence[Tokens]) -> Float32:
        """Logits, float32 [n, labels], of rows that are tokens already, within what the model reads; also NaN.

        For assay verify, whose rows are in the bundle.
        """
        return self._engine.get().answer(tokens, len(self.labels))

    def build(self, length: int) -> bool:
        """Build what calls of `length` tokens need on TensorRT. Gives whether it was not there. For assay warmup."""
        return self._engine.get().session.build(length)

    def encode(self, rows: Sequence[Row], *, truncate: bool) -> list[Tokens | InputError]:
        """The tokens of rows that validation.py has seen, or why the model does not read one. For streaming.py."""
        return self._tokenizer.encode_each(rows, truncate)

    def close(self) -> None:
        """Let go of the session and its memory. Runs under way in other threads finish; later ones raise AssayError."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        self._engine.get()  # a closed model is not brought back by a copy
        if self._reload is None:
            raise AssayError("this model was not made by assay.load and cannot be pickled; load it with assay.load")
        return self._reload, ()

    def __repr__(self) -> str:
        state = f"on {self._info['device']}" if self._engine.is_open else "closed"
        return f"<assay.{type(self).__name__} {self._bundle.folder} {self._choice.variant} {state}>"

    def _scores(self, logits: Float32) -> Float32:
        """The scores [n, labels] that `logits` [n, labels] mean. Defined by Classifier and Scorer."""
        raise NotImplementedError

    def _single(self, text: object, text_pair: object, truncate: object) -> Float32:
        """The logits [labels] of one row."""
        row = check_single(text, text_pair, self.manifest.input)
        logits: Float32 = self._run([row], check_flag(truncate, "truncate"), single=True)[0]
        return logits

    def _run(self, rows: Sequence[Row], truncate: bool, single: bool) -> Float32:
        engine = self._engine.get()  # close() in another thread leaves this call its session
        logits = np.empty((len(rows), len(self.labels)), dtype=np.float32)
        for start, tokens in self._windows(rows, truncate, single):
            logits[start : start + len(tokens)] = engine.answer(tokens, len(self.labels))
        _refuse_non_finite(logits, single)
        return logits

    def _windows(self, rows: Sequence[Row], truncate: bool, single: bool) -> Iterator[tuple[int, list[Tokens]]]:
        """The tokens of windows of `rows`, each with the index of its first; made ahead where there are several."""
        windows = (
            (start, self._tokenizer.encode(rows[start : start + _ROWS_PER_WINDOW], truncate, None if single else start))
            for start in range(0, len(rows), _ROWS_PER_WINDOW)
        )
        return one_ahead(windows) if len(rows) > _ROWS_PER_WINDOW else windows


def _refuse_non_finite(logits: Float32, single: bool) -> None:
    finite = np.isfinite(logits).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise not_finite(logits[row], None if single else row)


def not_finite(logits: Float32, row: int | None) -> NumericalError:
    """The error of a row whose `logits` [labels] are NaN or infinite; None for a text of its own."""
    where = "the text" if row is None else f"row {row}"
    return NumericalError(
        f"{where} gave the logits {logits.tolist()}, expected finite numbers; use the variant 'fp32', and "
        "check the checkpoint with assay verify",
        row=row,
    )
