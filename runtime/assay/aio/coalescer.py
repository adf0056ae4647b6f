"""A bounded queue of rows in front of a model, for one event loop.

A row is admitted, tokenised, run and answered. All state belongs to the event loop: every method that touches it runs
there. Threads tokenise and run the model, and return their results with call_soon_threadsafe. There are no tasks, so
nothing is left over if a loop ends without aclose.

An idle model runs what is ready at once. While a model is busy, rows gather, and run together afterwards. Rows run in
the order of their admission; a row that is still being tokenised does not hold up those behind it.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, TypeGuard

import numpy as np

from assay.aio.lanes import Lane, encode
from assay.aio.requests import Request, Requests, Stats
from assay.aio.worker import Worker
from assay.errors import AssayError, InputError, NumericalError, OverloadedError
from assay.inputs.validation import Row, describe
from assay.models.base import Float32, Model, runner_of
from assay.models.runner import non_finite_error
from assay.ort.batching import TOKENS_PER_CALL

__all__ = ["MAX_BATCH", "MAX_DELAY", "MAX_QUEUE", "Coalescer", "check_limits"]

MAX_QUEUE = 128
MAX_DELAY = 0.002
MAX_BATCH = 32

_MAX_ROWS = 1_000_000  # a larger queue or batch is a mistake

_SHORT_CHARACTERS = 16_384
"""Rows up to this length are tokenised in their own thread. Tokenising a megabyte takes seconds, and short rows must
not wait for that."""


def check_limits(max_queue: object, max_delay: object, max_batch: object) -> None:
    """Raise InputError unless all three are valid."""
    for name, value in (("max_queue", max_queue), ("max_batch", max_batch)):
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MAX_ROWS:
            raise InputError(f"{name} is {describe(value)}, expected a number of rows from 1 to {_MAX_ROWS:,}")
    if not _is_seconds(max_delay) or not 0 <= max_delay <= 60:
        raise InputError(f"max_delay is {describe(max_delay)}, expected seconds from 0 to 60")


class Coalescer:
    """The queue in front of `model`. Bound to the event loop that uses it first."""

    def __init__(self, model: Model, max_queue: int, max_delay: float, max_batch: int) -> None:
        """The limits are those of assay.aio.load."""
        check_limits(max_queue, max_delay, max_batch)
        self._model = model
        self._max_queue = max_queue
        self._max_delay = max_delay
        self._max_batch = max_batch
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = False
        self._drained = asyncio.Event()
        self._requests = Requests()
        self._delay: asyncio.TimerHandle | None = None
        self._short, self._long = Lane("assay-aio-short"), Lane("assay-aio-long")
        self._runner = Worker("assay-aio-run")

    @property
    def stats(self) -> Stats:
        """The counters at this moment."""
        return self._requests.stats

    async def answer(self, rows: Sequence[Row], truncate: bool, timeout: object, single: bool) -> Float32:
        """Answer rows, which enter the queue together or not at all.

        Args:
            rows: Rows that were checked by assay.inputs.validation.
            truncate: Cut rows that the bundle would refuse as too long.
            timeout: Seconds, or None.
            single: Errors speak of "the text" and not of the row's number.

        Returns:
            The logits, float32 [n, labels].

        Raises:
            OverloadedError: The queue is full.
            DeadlineError: There was no answer within `timeout`.
            AssayError: What tokenising or running a row raises; or the queue is closed, or belongs to another loop.
        """
        loop = self._bind()
        if timeout is not None and not _is_seconds(timeout):
            raise InputError(f"timeout is {describe(timeout)}, expected a number of seconds, or None")
        requests = self._admit(loop, rows, truncate)
        timer = None
        if timeout is not None:
            timer = loop.call_later(timeout, self._expire, requests, timeout)
        logits = np.empty((len(requests), len(self._model.labels)), dtype=np.float32)
        try:
            for index, request in enumerate(requests):
                try:
                    logits[index] = await request.future
                except (InputError, NumericalError) as error:
                    if single:
                        raise
                    raise type(error)(f"row {index}: {error}", row=index) from error
        finally:
            if timer is not None:
                timer.cancel()
            self._requests.drop(requests)
            self._announce_drained()
        return logits

    async def aclose(self) -> None:
        """Refuse new rows, wait until those that were accepted are answered, and end the threads."""
        alive = self._loop is not None and not self._loop.is_closed()
        if alive:
            self._bind(closing=True)
        self._closing = True
        self._announce_drained()
        if alive:
            await self._drained.wait()
        for worker in (self._short.worker, self._long.worker, self._runner):
            worker.shutdown(wait=alive)  # no thread has work by now

    def _bind(self, closing: bool = False) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        if self._loop is not loop:
            raise AssayError(
                "this model belongs to another event loop, the one that used it first; "
                "make one for this loop with assay.aio.wrap(assay.load(...))"
            )
        if self._closing and not closing:
            raise AssayError("this model was closed and takes no more calls; load it again with assay.aio.load")
        return loop

    def _admit(self, loop: asyncio.AbstractEventLoop, rows: Sequence[Row], truncate: bool) -> list[Request]:
        waiting, running = len(self._requests.waiting), len(self._requests.running)
        if waiting + running + len(rows) > self._max_queue:
            self._requests.refuse(len(rows))
            remedy = (
                "send it in smaller batches or raise max_queue"
                if len(rows) > self._max_queue
                else "send less, retry later, or raise max_queue and have every row wait longer"
            )
            raise OverloadedError(
                f"{waiting:,} waiting, {running:,} running and {len(rows):,} new rows, expected at most "
                f"{self._max_queue:,} together (max_queue); {remedy}"
            )
        requests = []
        for row in rows:
            lane = self._short if _count_characters(row) <= _SHORT_CHARACTERS else self._long
            request = Request(row, truncate, lane.waiting, loop.create_future())
            self._requests.accept(request)
            requests.append(request)
            lane.plan(loop, self._tokenise)
        return requests

    def _tokenise(self, lane: Lane) -> None:
        """Have the lane's thread tokenise the rows that wait for it."""
        requests = lane.take()
        if requests:
            work = [(request.row, request.truncate) for request in requests]
            lane.worker.submit(
                self._bound_loop(),
                lambda: encode(self._model, work),
                lambda outcome: self._finish_tokenising(outcome, lane, requests),
            )

    def _finish_tokenising(self, outcome: Any, lane: Lane, requests: Sequence[Request]) -> None:
        lane.busy = False
        now = self._bound_loop().time()
        outcomes = [outcome] * len(requests) if isinstance(outcome, BaseException) else outcome
        for request, tokens in zip(requests, outcomes, strict=True):
            if request.future.done():
                continue
            if isinstance(tokens, BaseException):
                del self._requests.waiting[request]
                self._requests.settle(request, tokens)
            else:
                request.tokens, request.ready_at = tokens, now
        self._tokenise(lane)
        self._dispatch()

    def _dispatch(self) -> None:
        """Run the next batch, unless the model is busy, or more rows will be ready within max_delay."""
        self._announce_drained()
        if self._requests.running or (batch := self._choose_batch()) is None:
            return
        requests, full = batch
        loop = self._bound_loop()
        left = min(request.ready_at for request in requests) + self._max_delay - loop.time()
        if not full and left > 0 and (self._short.busy or self._short.waiting):
            if self._delay is None:
                self._delay = loop.call_later(left, self._end_delay)
            return
        if self._delay is not None:
            self._delay.cancel()
            self._delay = None
        self._requests.start(requests)
        tokens = [request.tokens for request in requests if request.tokens is not None]
        self._runner.submit(
            loop, lambda: runner_of(self._model).answer(tokens), lambda outcome: self._finish_run(outcome, requests)
        )

    def _choose_batch(self) -> tuple[list[Request], bool] | None:
        """Return the rows to run next, and whether no more would fit. None if no row is ready."""
        requests: list[Request] = []
        total = 0
        for request in self._requests.waiting:
            if request.tokens is None or request.future.done():  # cancelled, and its call has not ended yet
                continue
            total += len(request.tokens.ids)
            if requests and (len(requests) == self._max_batch or total > TOKENS_PER_CALL):
                return requests, True
            requests.append(request)
        return (requests, len(requests) == self._max_batch) if requests else None

    def _end_delay(self) -> None:
        self._delay = None
        self._dispatch()

    def _finish_run(self, outcome: Any, requests: Sequence[Request]) -> None:
        self._requests.running = ()
        for index, request in enumerate(requests):
            if isinstance(outcome, BaseException):
                self._requests.settle(request, outcome)
            elif np.isfinite(outcome[index]).all():
                self._requests.settle(request, outcome[index])
            else:
                self._requests.settle(request, non_finite_error(outcome[index], None))
        self._dispatch()

    def _expire(self, requests: Sequence[Request], timeout: float) -> None:
        self._requests.expire(requests, timeout)
        self._announce_drained()

    def _announce_drained(self) -> None:
        """Let aclose go on once nothing waits or runs."""
        busy = self._requests.waiting or self._requests.running or self._short.busy or self._long.busy
        if self._closing and not busy:
            self._drained.set()

    def _bound_loop(self) -> asyncio.AbstractEventLoop:
        assert self._loop is not None  # _bind comes before anything is admitted
        return self._loop


def _count_characters(row: Row) -> int:
    return len(row) if isinstance(row, str) else len(row[0]) + len(row[1])


def _is_seconds(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e9 < value < 1e9
