"""What is awaited: the calls of Classifier and Scorer over a Coalescer. What logits mean is asked of the model."""

from collections.abc import Sequence
from typing import Any, Generic, Self, TypeVar

import numpy as np

from assay.aio.coalescer import Coalescer, Stats
from assay.bundle.manifest import Manifest
from assay.inputs.validation import check_batch, check_flag, check_single
from assay.models.base import Float32, Model
from assay.models.classifier import Classifier, Prediction
from assay.models.scorer import Scorer

__all__ = ["AsyncClassifier", "AsyncModel", "AsyncScorer"]

ModelT = TypeVar("ModelT", bound=Model)

_NO_LOGITS: Float32 = np.empty((0, 1), dtype=np.float32)


class AsyncModel(Generic[ModelT]):
    """What AsyncClassifier and AsyncScorer share. Made by assay.aio.load and assay.aio.wrap.

    Every call takes `timeout`, in seconds: the answer comes within it, or DeadlineError does, and a row that has not
    begun to run by then never will. Every call raises OverloadedError where the queue is full, and what the same call
    of the model raises. Cancelling a call takes its rows from the queue.
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
        """The bundle's manifest, assay.json."""
        return self._model.manifest

    @property
    def info(self) -> dict[str, Any]:
        """What runs: the model's own `info`."""
        return self._model.info

    @property
    def stats(self) -> Stats:
        """Counters since it was made, and what waits and runs at this moment."""
        return self._queue.stats

    async def logits(self, batch: object, *, truncate: bool = False, timeout: float | None = None) -> Float32:
        """The head's raw outputs, float32 [n, labels], of n rows, which are taken into the queue together or not."""
        rows = check_batch(batch, self.manifest.input)
        return await self._queue.answers(rows, check_flag(truncate, "truncate"), timeout, single=False)

    async def aclose(self) -> None:
        """Refuse new calls, answer those that were accepted, and end the threads; then close the model if it is owned.

        May be called more than once. Where the wait is cancelled, what was accepted is answered all the same.
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
        """The logits [1, labels] of one row."""
        row = check_single(text, text_pair, self.manifest.input)
        return await self._queue.answers([row], check_flag(truncate, "truncate"), timeout, single=True)


class AsyncClassifier(AsyncModel[Classifier]):
    """A Classifier to be awaited."""

    async def predict(
        self, text: str, text_pair: str | None = None, *, truncate: bool = False, timeout: float | None = None
    ) -> Prediction:
        """Classifier.predict."""
        return self._model.predictions(await self._single(text, text_pair, truncate, timeout))[0]

    async def predict_batch(
        self, batch: object, *, truncate: bool = False, timeout: float | None = None
    ) -> list[Prediction]:
        """Classifier.predict_batch; the rows are taken into the queue together or not."""
        return self._model.predictions(await self.logits(batch, truncate=truncate, timeout=timeout))


class AsyncScorer(AsyncModel[Scorer]):
    """A Scorer to be awaited."""

    async def score(
        self,
        text: str,
        text_pair: str | None = None,
        *,
        scale: Sequence[float] | None = None,
        truncate: bool = False,
        timeout: float | None = None,
    ) -> float:
        """Scorer.score."""
        self._model.scores(_NO_LOGITS, scale)  # refuses a wrong scale before anything runs
        return float(self._model.scores(await self._single(text, text_pair, truncate, timeout), scale)[0])

    async def score_batch(
        self,
        batch: object,
        *,
        scale: Sequence[float] | None = None,
        truncate: bool = False,
        timeout: float | None = None,
    ) -> Float32:
        """Scorer.score_batch; the rows are taken into the queue together or not."""
        self._model.scores(_NO_LOGITS, scale)
        return self._model.scores(await self.logits(batch, truncate=truncate, timeout=timeout), scale)

    async def evol_complexity(self, text: str, *, truncate: bool = False, timeout: float | None = None) -> int:
        """Scorer.evol_complexity."""
        self._model.evol_complexities(_NO_LOGITS)
        return int(self._model.evol_complexities(await self._single(text, None, truncate, timeout))[0])
