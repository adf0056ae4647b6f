"""Rows to tokens in a thread, some at a time, so that the event loop never tokenises."""

import asyncio
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from assay.inputs.tokenization import Tokens
from assay.inputs.validation import Row
from assay.models.base import Float32, Model, runner_of

__all__ = ["Lane", "Request"]

_ROWS = 32  # tokenised in one go: few, so that the first of many can run soon


class Request:
    """One row that was accepted. Its `future` is done as soon as nobody waits for the row any more."""

    __slots__ = ("counted", "future", "lane", "ready_at", "row", "tokens", "truncate")

    def __init__(self, row: Row, truncate: bool, lane: "Lane", future: "asyncio.Future[Float32]") -> None:
        self.row = row
        self.truncate = truncate
        self.lane = lane
        self.future = future
        self.tokens: Tokens | None = None
        self.ready_at = math.inf
        self.counted = False  # in Stats, as answered, failed, expired or cancelled


class Lane:
    """One thread that tokenises, and the requests `waiting` for it, in order. `busy` while the thread has some."""

    def __init__(self, name: str) -> None:
        self.waiting: dict[Request, None] = {}
        self.busy = False
        self.thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._planned = False

    def plan(self, loop: asyncio.AbstractEventLoop, start: "Callable[[Lane], None]") -> None:
        """Call `start` with this lane once the loop has run what is ready now: calls of one moment go together."""
        if not self._planned:
            self._planned = True
            loop.call_soon(start, self)

    def take(self) -> list[Request]:
        """The requests to tokenise next, none while the thread is busy."""
        self._planned = False
        if self.busy:
            return []
        requests = list(self.waiting)[:_ROWS]
        for request in requests:
            del self.waiting[request]
        self.busy = bool(requests)
        return requests

    def encode(self, model: Model, work: Sequence[tuple[Row, bool]]) -> list[Tokens | Exception]:
        """The tokens of each (row, truncate), or its error. Runs in the thread."""
        outcomes: list[Tokens | Exception] = [AssertionError()] * len(work)
        for truncate in (False, True):
            chosen = [index for index, (_, flag) in enumerate(work) if flag is truncate]
            rows = [work[index][0] for index in chosen]
            for index, outcome in zip(chosen, _encode(model, rows, truncate), strict=True):
                outcomes[index] = outcome
        return outcomes


def _encode(model: Model, rows: Sequence[Row], truncate: bool) -> Sequence[Tokens | Exception]:
    """`Runner.encode`, where a row on which the tokenizer itself fails costs no other row its answer."""
    try:
        return runner_of(model).encode(rows, truncate=truncate)
    except Exception as error:
        if len(rows) == 1:
            return [error]
        return [outcome for row in rows for outcome in _encode(model, [row], truncate)]
