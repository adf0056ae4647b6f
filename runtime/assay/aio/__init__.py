"""assay.aio: a model for asyncio services. Concurrent requests share batches, and the queue before them is bounded.

    async with assay.aio.load("bundles/osmosis", max_queue=128) as judge:
        prediction = await judge.predict("What causes rain?", "Rain forms when ...", timeout=2.0)

docs/service.md says what happens under load, on cancellation, at a deadline and on closing.
"""

import asyncio
import os
from collections.abc import Generator
from typing import Any, overload

from assay.aio.coalescer import MAX_BATCH, MAX_DELAY, MAX_QUEUE, Coalescer, Stats
from assay.aio.models import AsyncClassifier, AsyncScorer
from assay.errors import InputError
from assay.inputs.validation import describe
from assay.loading import load as _load
from assay.models.base import Model
from assay.models.classifier import Classifier
from assay.models.scorer import Scorer

__all__ = ["AsyncClassifier", "AsyncScorer", "Loading", "Stats", "load", "wrap"]


def load(
    path: str | os.PathLike[str],
    *,
    max_queue: int = MAX_QUEUE,
    max_delay: float = MAX_DELAY,
    max_batch: int = MAX_BATCH,
    **options: Any,
) -> "Loading":
    """Load the bundle at `path` in a thread; to be used as `async with load(...) as judge`, or `await load(...)`.

    max_queue: rows that may wait or run at a time. One more is refused with OverloadedError. An accepted row is
        answered after max_queue divided by the model's rows a second, and max_delay, or sooner.
    max_delay: seconds that an idle model waits for rows that have come and are not tokenised yet. A row that is alone
        does not wait.
    max_batch: rows that run together, within 4,096 tokens. All of a batch are answered when it ends.
    options: those of assay.load (device, variant, threads, ...).

    Closing it answers what was accepted, then closes the model. Raises InputError at once for these three, and what
    assay.load raises when it is awaited.
    """
    Coalescer.check(max_queue, max_delay, max_batch)
    return Loading(path, options, max_queue, max_delay, max_batch)


@overload
def wrap(
    model: Classifier, *, max_queue: int = MAX_QUEUE, max_delay: float = MAX_DELAY, max_batch: int = MAX_BATCH
) -> AsyncClassifier: ...
@overload
def wrap(
    model: Scorer, *, max_queue: int = MAX_QUEUE, max_delay: float = MAX_DELAY, max_batch: int = MAX_BATCH
) -> AsyncScorer: ...
def wrap(
    model: Model, *, max_queue: int = MAX_QUEUE, max_delay: float = MAX_DELAY, max_batch: int = MAX_BATCH
) -> AsyncClassifier | AsyncScorer:
    """A queue before a `model` that is loaded already, with the options of `load`. Closing it leaves the model open.

    The result belongs to the event loop that uses it first; for another loop, wrap the same model once more.
    """
    return _wrap(model, Coalescer(model, max_queue, max_delay, max_batch), owned=False)


class Loading:
    """A bundle that is about to be loaded: what `load` gives."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        options: dict[str, Any],
        max_queue: int,
        max_delay: float,
        max_batch: int,
    ) -> None:
        self._path = path
        self._options = options
        self._limits = (max_queue, max_delay, max_batch)
        self._loaded: AsyncClassifier | AsyncScorer | None = None

    def __await__(self) -> Generator[Any, None, AsyncClassifier | AsyncScorer]:
        return self._run().__await__()

    async def __aenter__(self) -> AsyncClassifier | AsyncScorer:
        self._loaded = await self._run()
        return self._loaded

    async def __aexit__(self, *exception: object) -> None:
        if self._loaded is not None:
            await self._loaded.aclose()

    async def _run(self) -> AsyncClassifier | AsyncScorer:
        model = await asyncio.to_thread(_load, self._path, **self._options)
        return _wrap(model, Coalescer(model, *self._limits), owned=True)


def _wrap(model: object, queue: Coalescer, owned: bool) -> AsyncClassifier | AsyncScorer:
    if isinstance(model, Classifier):
        return AsyncClassifier(model, queue, owned)
    if isinstance(model, Scorer):
        return AsyncScorer(model, queue, owned)
    raise InputError(f"model is {describe(model)}, expected what assay.load gives; for a path use assay.aio.load")
