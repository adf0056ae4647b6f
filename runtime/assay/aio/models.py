"""The awaitable methods of classifiers and scorers, on top of a Coalescer. The model interprets the logits."""

from collections.abc import Sequence
from typing import Any, Generic, Self, TypeVar

import numpy as np

from assay.aio.coalescer import Coalescer
from assay.aio.requests import Stats
from assay.bundle.manifest import Manifest
from assay.inputs.validation import check_batch, check_flag, check_single
from assay.models.base import Float32, Model
from assay.models.classifier import Classifier, Prediction
from assay.models.scorer import Scorer
from assay.models.thresholds import Threshold, check_threshold

__all__ = ["AsyncClassifier", "AsyncModel", "AsyncScorer"]

ModelT = TypeVar("ModelT", bound=Model)

_NO_LOGITS: Float32 = np.empty((0, 1), dtype=np.float32)


class AsyncModel(Generic[ModelT]):
    """The base of AsyncClassifier and AsyncScorer, which assay.aio.load and assay.aio.wrap return.

    Every call takes a `timeout` in seconds. It raises DeadlineError if there is no answer by then, and its rows that
    have not begun never run. It raises OverloadedError if the queue is full, and otherwise what the same method of the
    model raises. Cancelling a call removes its rows from the queue.
    """

    def __init__(self, model: ModelT, queue: Coalescer, owned: bool) -> None:
        self._model = model
        self._queue = queue
        self._owned = owned

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels in logit order."""
        return self._model.labels

    @property
    def manifest(self) -> Manifest:
        """The manifest of the bundle, assay.json."""
        return self._model.manifest

    @property
    def info(self) -> dict[str, Any]:
        """The model's `info`: what runs, and where."""
        return self._model.info

    @property
    def stats(self) -> Stats:
        """The counters since the queue was made, and the rows that wait and run at this moment."""
        return self._queue.stats

    async def logits(self, batch: object, *, truncate: bool = False, timeout: float | None = None) -> Float32:
        """Return the logits, float32 [n, labels], of n rows, which enter the queue together or not at all."""
        rows = check_batch(batch, self.manifest.input)
        return await self._queue.answer(rows, check_flag(truncate, "truncate"), timeout, single=False)

    async def aclose(self) -> None:
        """Refuse new calls, answer those that were accepted, end the threads, and close the model if `load` made it.

        May be called more than once. If the wait is cancelled, accepted calls are still answered.
        """
        await self._queue.aclose()
        if self._owned:
            self._model.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<assay.aio.{type(self).__name__} of {self._model!r}>"

    async def _single(self, text: object, text_pair: object, truncate: object, timeout: object) -> Float32:
        """Return the logits [1, labels] of one row."""
        row = check_single(text, text_pair, self.manifest.input)
        return await self._queue.answer([row], check_flag(truncate, "truncate"), timeout, single=True)


class AsyncClassifier(AsyncModel[Classifier]):
    """A classifier for asyncio."""

    async def predict(
        self,
        text: str,
        text_pair: str | None = None,
        *,
        truncate: bool = False,
        threshold: Threshold | None = None,
        timeout: float | None = None,
    ) -> Prediction:
        """Classify one text or pair, as Classifier.predict."""
        check_threshold(threshold, self.manifest)  # before anything runs
        return self._model.predictions(await self._single(text, text_pair, truncate, timeout), threshold)[0]

    async def predict_batch(
        self,
        batch: object,
        *,
        truncate: bool = False,
        threshold: Threshold | None = None,
        timeout: float | None = None,
    ) -> list[Prediction]:
        """Classify rows, as Classifier.predict_batch. They enter the queue together or not at all."""
        check_threshold(threshold, self.manifest)
        return self._model.predictions(await self.logits(batch, truncate=truncate, timeout=timeout), threshold)


class AsyncScorer(AsyncModel[Scorer]):
    """A scorer for asyncio."""

    async def score(
        self,
        text: str,
        text_pair: str | None = None,
        *,
        scale: Sequence[float] | None = None,
        truncate: bool = False,
        timeout: float | None = None,
    ) -> float:
        """Score one text or pair, as Scorer.score."""
        self._model.scores(_NO_LOGITS, scale)  # refuses an invalid scale before anything runs
        return float(self._model.scores(await self._single(text, text_pair, truncate, timeout), scale)[0])

    async def score_batch(
        self,
        batch: object,
        *,
        scale: Sequence[float] | None = None,
        truncate: bool = False,
        timeout: float | None = None,
    ) -> Float32:
        """Score rows, as Scorer.score_batch. They enter the queue together or not at all."""
        self._model.scores(_NO_LOGITS, scale)
        return self._model.scores(await self.logits(batch, truncate=truncate, timeout=timeout), scale)

    async def evol_complexity(self, text: str, *, truncate: bool = False, timeout: float | None = None) -> int:
        """Rate one text, as Scorer.evol_complexity."""
        self._model.evol_complexities(_NO_LOGITS)
        return int(self._model.evol_complexities(await self._single(text, None, truncate, timeout))[0])
