"""The accepted rows: which of them wait or run, how each one ended, and the counters of that."""

import asyncio
import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from assay.errors import DeadlineError
from assay.inputs.tokenization import Tokens
from assay.inputs.validation import Row
from assay.models.base import Float32

__all__ = ["Request", "Requests", "Stats"]


@dataclass(frozen=True, slots=True)
class Stats:
    """Counters of rows, and of batches.

    Each of the `accepted` rows is in one of `answered`, `failed` (an error of its own or of its run), `expired`,
    `cancelled`, `waiting` and `running`. `refused` rows were not accepted. `batches` counts the runs that started, and
    `rows` the rows in them.
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


class Request:
    """One accepted row. Its `future` is done as soon as nobody waits for the row any more."""

    __slots__ = ("counted", "future", "ready_at", "row", "tokens", "truncate", "untokenised")

    def __init__(
        self, row: Row, truncate: bool, untokenised: "dict[Request, None]", future: "asyncio.Future[Float32]"
    ) -> None:
        """`untokenised` is the queue of rows, in order, in which this one waits to be tokenised."""
        self.row = row
        self.truncate = truncate
        self.untokenised = untokenised
        self.future = future
        self.tokens: Tokens | None = None
        self.ready_at = math.inf  # when it was tokenised, on the loop's clock
        self.counted = False  # in Stats, as answered, failed, expired or cancelled


class Requests:
    """The accepted rows of one queue. Used on the event loop only."""

    def __init__(self) -> None:
        self.waiting: dict[Request, None] = {}  # in the order of admission
        self.running: Sequence[Request] = ()
        self._counts = dict.fromkeys(Stats.__slots__, 0)

    @property
    def stats(self) -> Stats:
        """The counters at this moment."""
        running = sum(not request.future.done() for request in self.running)
        return Stats(**self._counts | {"waiting": len(self.waiting), "running": running})

    def refuse(self, rows: int) -> None:
        """Count rows that were not accepted."""
        self._counts["refused"] += rows

    def accept(self, request: Request) -> None:
        """Put a row at the end of the queue."""
        self.waiting[request] = None
        request.untokenised[request] = None
        self._counts["accepted"] += 1

    def start(self, batch: Sequence[Request]) -> None:
        """Move the rows of a batch from waiting to running."""
        for request in batch:
            del self.waiting[request]
        self.running = batch
        self._counts["batches"] += 1
        self._counts["rows"] += len(batch)

    def settle(self, request: Request, answer: Any) -> None:
        """End `request` with its logits [labels] or an error, unless nobody waits for it any more."""
        if request.future.done():
            return
        if isinstance(answer, BaseException):
            self._count(request, "failed")
            request.future.set_exception(_copy_error(answer))
        else:
            self._count(request, "answered")
            request.future.set_result(answer)

    def expire(self, requests: Sequence[Request], timeout: float) -> None:
        """End those of `requests` that are not done with DeadlineError."""
        late = [request for request in requests if not request.future.done()]
        for request in late:
            was_running = request not in self.waiting
            state = "it was running, and its answer is dropped" if was_running else "it had not begun and will not run"
            self._forget(request)
            self._count(request, "expired")
            error = DeadlineError(
                f"no answer within the timeout of {timeout:g} s, with {len(self.waiting):,} rows waiting; {state}; "
                "send less or allow more time"
            )
            request.future.set_exception(error)

    def drop(self, requests: Sequence[Request]) -> None:
        """Remove the rows of a call that has ended: those that have not begun will not run."""
        for request in requests:
            future = request.future
            if not future.done() or future.cancelled():
                # Its run may have ended already: the loop goes on between a cancellation and this call.
                if not request.counted:
                    self._count(request, "cancelled")
                self._forget(request)
                future.cancel()
            else:
                future.exception()  # marks it as retrieved, or asyncio reports an error that nobody awaited

    def _count(self, request: Request, what: str) -> None:
        self._counts[what] += 1
        request.counted = True

    def _forget(self, request: Request) -> None:
        self.waiting.pop(request, None)
        request.untokenised.pop(request, None)


def _copy_error(error: BaseException) -> BaseException:
    """Copy `error`, so that each caller that waits for it raises one with its own traceback."""
    try:
        own = copy.copy(error)
    except Exception:  # an exception class of a library may not allow it
        return error
    own.__cause__ = error.__cause__ or error
    return own
