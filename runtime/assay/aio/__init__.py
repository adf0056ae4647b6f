"""Models for asyncio services. Concurrent requests share batches, and the queue in front of the model is bounded.

    async with assay.aio.load("bundles/osmosis", max_queue=128) as judge:
        prediction = await judge.predict("What causes rain?", "Rain forms when ...", timeout=2.0)

The service guide in docs describes behaviour under load, on cancellation, at a deadline and on closing.
"""

import asyncio
import os
from collections.abc import Generator
from typing import Any, Unpack, overload

from assay.aio.coalescer import MAX_BATCH, MAX_DELAY, MAX_QUEUE, Coalescer, check_limits
from assay.aio.models import AsyncClassifier, AsyncScorer
from assay.aio.requests import Stats
from assay.errors import InputError
from assay.inputs.validation import describe
from assay.load_options import Options
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
    **options: Unpack[Options],
) -> "Loading":
    """Load the bundle at `path` in a thread. Use it as `async with load(...) as judge` or `await load(...)`.

    Closing the result answers the rows that were accepted, then closes the model.

    Args:
        path: As in assay.load.
        max_queue: The most rows that may wait or run at a time. More are refused with OverloadedError. An accepted row
            waits for at most max_queue divided by the model's rows per second, plus max_delay.
        max_delay: The seconds that an idle model waits for rows that were accepted and are not tokenised yet. A single
            row does not wait.
        max_batch: The most rows that run together, within 4,096 tokens. All rows of a batch are answered at its end.
        options: The options of assay.load (device, variant, threads, ...).

    Returns:
        An object to await or to enter. Awaiting it raises what assay.load raises.

    Raises:
        InputError: max_queue, max_delay or max_batch is invalid.
    """
    check_limits(max_queue, max_delay, max_batch)
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
    """Put a queue in front of a loaded `model`. The limits are those of `load`. Closing it leaves the model open.

    The result belongs to the event loop that uses it first. For another loop, wrap the same model again.
    """
    return _wrap(model, Coalescer(model, max_queue, max_delay, max_batch), owned=False)


class Loading:
    """A bundle that `load` is about to load. Await it, or enter it with `async with`."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        options: Options,
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
    raise InputError(f"model is {describe(model)}, expected a model from assay.load; for a path use assay.aio.load")
