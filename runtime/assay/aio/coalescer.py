"""A bounded queue of rows before a model, for one event loop.

A row goes admitted, tokenised, run, answered. The state is the event loop's alone: every method that touches it runs
there. Threads tokenise and run the model, and hand back what they made with call_soon_threadsafe. There are no tasks,
so that nothing is left over where a loop ends without aclose.

An idle model takes what is ready at once. A busy one lets rows gather, which run together when it is done. Rows are
taken in the order in which they were admitted; one that is still being tokenised does not hold up those behind it.
"""

import asyncio
import contextlib
import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from assay.aio.tokens import Lane, Request
from assay.errors import AssayError, DeadlineError, InputError, NumericalError, OverloadedError
from assay.inputs.validation import Row, describe
from assay.models.base import Float32, Model, runner_of
from assay.models.runner import non_finite_error
from assay.ort.batching import TOKENS_PER_CALL

__all__ = ["MAX_BATCH", "MAX_DELAY", "MAX_QUEUE", "Coalescer", "Stats"]

MAX_QUEUE = 128
MAX_DELAY = 0.002
MAX_BATCH = 32

_MAX_ROWS = 1_000_000  # of a queue or a batch: more is a mistake

_SHORT_CHARACTERS = 16_384
"""Rows up to this length are tokenised before longer ones and in a thread of their own. Tokenising a megabyte takes
seconds; whoever sends a short text must not wait for that."""


@dataclass(frozen=True, slots=True)
class Stats:
    """Rows: `accepted` since the queue was made, of which `answered`, `failed` (an error of their own or of the run),
    `expired`, `cancelled`, `waiting` and `running` are the parts; and `refused`, which were not accepted.

    `batches` are the runs that have begun, of `rows` rows together.
    """

    accepted: int = 0
    refused: int = 0
    answered: int = 0
    failed: int = 0
    expired: int = 0
    cancelled: int = 0
    batches: int = 0
    rows: int = 0
    waiting: int = 0
    running: int = 0


class Coalescer:
    """The queue before `model`. Bound to the event loop that uses it first."""

    def __init__(self, model: Model, max_queue: int, max_delay: float, max_batch: int) -> None:
        self.check(max_queue, max_delay, max_batch)
        self._model = model
        self._max_queue = max_queue
        self._max_delay = max_delay
        self._max_batch = max_batch
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = False
        self._drained = asyncio.Event()
        self._waiting: dict[Request, None] = {}  # in order of admission
        self._running: Sequence[Request] = ()
        self._delay: asyncio.TimerHandle | None = None
        self._counts = dict.fromkeys(Stats.__slots__, 0)
        self._short, self._long = Lane("assay-aio-short"), Lane("assay-aio-long")
        self._runner = ThreadPoolExecutor(1, thread_name_prefix="assay-aio-run")

    @staticmethod
    def check(max_queue: object, max_delay: object, max_batch: object) -> None:
        """Raise InputError for an option that is none."""
        for name, value in (("max_queue", max_queue), ("max_batch", max_batch)):
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MAX_ROWS:
                raise InputError(f"{name} is {describe(value)}, expected a number of rows from 1 to {_MAX_ROWS:,}")
        if not _is_seconds(max_delay) or not 0 <= max_delay <= 60:  # type: ignore[operator]
            raise InputError(f"max_delay is {describe(max_delay)}, expected seconds from 0 to 60")

    @property
    def stats(self) -> Stats:
        """The counters at this moment."""
        running = sum(not request.future.done() for request in self._running)
        return Stats(**self._counts | {"waiting": len(self._waiting), "running": running})

    async def answers(self, rows: Sequence[Row], truncate: bool, timeout: object, single: bool) -> Float32:
        """Logits, float32 [n, labels], of `rows`, which have passed validation.py; `timeout` in seconds, or None.

        Raises OverloadedError, DeadlineError, what tokenising a row or running it raises, and AssayError where this
        was closed or belongs to another event loop.
        """
        loop = self._bind()
        if timeout is not None and not _is_seconds(timeout):
            raise InputError(f"timeout is {describe(timeout)}, expected a number of seconds, or None")
        requests = self._admit(loop, rows, truncate)
        timer = None
        if timeout is not None:
            timer = loop.call_later(timeout, self._expire, requests, timeout)  # type: ignore[arg-type]
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
            self._drop(requests)
        return logits

    async def aclose(self) -> None:
        """Refuse new rows, wait until those that were accepted are answered, and end the threads."""
        alive = self._loop is not None and not self._loop.is_closed()
        if alive:
            self._bind(closing=True)
        self._closing = True
        self._announce_quiet()
        if alive:
            await self._drained.wait()
        for pool in (self._short.thread, self._long.thread, self._runner):
            pool.shutdown(wait=alive)  # no thread has work by now

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
        waiting, running = len(self._waiting), len(self._running)
        if waiting + running + len(rows) > self._max_queue:
            self._counts["refused"] += len(rows)
            cure = (
                "send it in smaller batches or raise max_queue"
                if len(rows) > self._max_queue
                else "send less, retry later, or raise max_queue and have every row wait longer"
            )
            raise OverloadedError(
                f"{waiting:,} rows wait, {running:,} run and {len(rows):,} more came, expected {self._max_queue:,} "
                f"together at most (max_queue); {cure}"
            )
        requests = []
        for row in rows:
            lane = self._short if _characters(row) <= _SHORT_CHARACTERS else self._long
            request = Request(row, truncate, lane, loop.create_future())
            requests.append(request)
            self._waiting[request] = None
            lane.waiting[request] = None
        self._counts["accepted"] += len(requests)
        for lane in {request.lane for request in requests}:
            lane.plan(loop, self._tokenise)
        return requests

    def _tokenise(self, lane: Lane) -> None:
        """Have the lane's thread tokenise what waits for it."""
        requests = lane.take()
        if requests:
            work = [(request.row, request.truncate) for request in requests]
            self._hand_over(lane.thread, lambda: lane.encode(self._model, work), self._tokenised, (lane, requests))

    def _tokenised(self, outcome: Any, lane: Lane, requests: Sequence[Request]) -> None:
        lane.busy = False
        now = self._now()
        outcomes = [outcome] * len(requests) if isinstance(outcome, BaseException) else outcome
        for request, tokens in zip(requests, outcomes, strict=True):
            if request.future.done():
                continue
            if isinstance(tokens, BaseException):
                del self._waiting[request]
                self._settle(request, tokens)
            else:
                request.tokens, request.ready_at = tokens, now
        self._tokenise(lane)
        self._dispatch()

    def _dispatch(self) -> None:
        """Run the next batch, unless the model is busy, or more rows are about to be ready within max_delay."""
        self._announce_quiet()
        if self._running or (batch := self._next_batch()) is None:
            return
        requests, full = batch
        since = min(request.ready_at for request in requests)
        left = since + self._max_delay - self._now()
        if not full and left > 0 and (self._short.busy or self._short.waiting):
            if self._delay is None:
                self._delay = self._the_loop().call_later(left, self._delay_over)
            return
        self._cancel_delay()
        for request in requests:
            del self._waiting[request]
        self._running = requests
        self._counts["batches"] += 1
        self._counts["rows"] += len(requests)
        tokens = [request.tokens for request in requests if request.tokens is not None]
        self._hand_over(self._runner, lambda: runner_of(self._model).answer(tokens), self._finished, (requests,))

    def _next_batch(self) -> tuple[list[Request], bool] | None:
        """The rows to run next, and whether another would not fit; None where none is ready."""
        requests: list[Request] = []
        total = 0
        for request in self._waiting:
            if request.tokens is None or request.future.done():  # cancelled, and its caller not yet told
                continue
            total += len(request.tokens.ids)
            if requests and (len(requests) == self._max_batch or total > TOKENS_PER_CALL):
                return requests, True
            requests.append(request)
        return (requests, len(requests) == self._max_batch) if requests else None

    def _delay_over(self) -> None:
        self._delay = None
        self._dispatch()

    def _cancel_delay(self) -> None:
        if self._delay is not None:
            self._delay.cancel()
            self._delay = None

    def _finished(self, outcome: Any, requests: Sequence[Request]) -> None:
        self._running = ()
        for index, request in enumerate(requests):
            if isinstance(outcome, BaseException):
                self._settle(request, outcome)
            elif np.isfinite(outcome[index]).all():
                self._settle(request, outcome[index])
            else:
                self._settle(request, non_finite_error(outcome[index], None))
        self._dispatch()

    def _settle(self, request: Request, answer: Any) -> None:
        """Give `request` its answer, logits [labels] or an error, if it still waits for one."""
        if request.future.done():
            return
        if isinstance(answer, BaseException):
            self._count(request, "failed")
            request.future.set_exception(_own(answer))
        else:
            self._count(request, "answered")
            request.future.set_result(answer)

    def _expire(self, requests: Sequence[Request], timeout: float) -> None:
        late = [request for request in requests if not request.future.done()]
        for request in late:
            was_running = request not in self._waiting
            state = "it was running, and its answer is dropped" if was_running else "it had not begun and is not run"
            self._forget(request)
            self._count(request, "expired")
            error = DeadlineError(
                f"no answer within the timeout of {timeout:g} s, {len(self._waiting):,} rows are waiting; {state}; "
                "send less or allow more time"
            )
            request.future.set_exception(error)
        self._announce_quiet()

    def _drop(self, requests: Sequence[Request]) -> None:
        """Nobody waits for `requests` any more: take those from the queue that have not begun."""
        for request in requests:
            future = request.future
            if not future.done() or future.cancelled():
                # Its run may have ended already: between a cancellation and this the loop goes on.
                if not request.counted:
                    self._count(request, "cancelled")
                self._forget(request)
                future.cancel()
            else:
                future.exception()  # else asyncio reports an error that nobody asked for
        self._announce_quiet()

    def _count(self, request: Request, what: str) -> None:
        self._counts[what] += 1
        request.counted = True

    def _forget(self, request: Request) -> None:
        self._waiting.pop(request, None)
        request.lane.waiting.pop(request, None)

    def _is_quiet(self) -> bool:
        return not (self._waiting or self._running or self._short.busy or self._long.busy)

    def _announce_quiet(self) -> None:
        if self._closing and self._is_quiet():
            self._drained.set()

    def _now(self) -> float:
        return self._the_loop().time()

    def _the_loop(self) -> asyncio.AbstractEventLoop:
        assert self._loop is not None  # nothing is admitted before _bind
        return self._loop

    def _hand_over(
        self,
        pool: ThreadPoolExecutor,
        work: Callable[[], Any],
        done: Callable[..., None],
        arguments: tuple[Any, ...],
    ) -> None:
        """Do `work` in a thread of `pool`, then call done(outcome, *arguments) on the loop; errors are outcomes."""
        loop = self._the_loop()

        def run() -> None:
            try:
                outcome = work()
            except BaseException as error:
                outcome = error
            # A loop that was closed without aclose raises RuntimeError. It cancelled whoever waited.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(done, outcome, *arguments)

        pool.submit(run)


def _characters(row: Row) -> int:
    return len(row) if isinstance(row, str) else len(row[0]) + len(row[1])


def _is_seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e9 < value < 1e9


def _own(error: BaseException) -> BaseException:
    """A copy of `error` for one of those who wait for it: each raises its own, with a traceback of its own."""
    try:
        own = copy.copy(error)
    except Exception:  # an exception class of a library that cannot be made anew
        return error
    own.__cause__ = error.__cause__ or error
    return own
