"""Tokenise rows in a thread, a few at a time, so that the event loop never does it."""

import asyncio
from collections.abc import Callable, Sequence

from assay.aio.requests import Request
from assay.aio.worker import Worker
from assay.inputs.tokenization import Tokens
from assay.inputs.validation import Row
from assay.models.base import Model

__all__ = ["Lane", "encode"]

_ROWS = 32  # tokenised at a time: few, so that the first of many can run soon


class Lane:
    """A thread that tokenises, and the rows that wait for it."""

    def __init__(self, name: str) -> None:
        self.waiting: dict[Request, None] = {}  # in the order of admission
        self.busy = False
        self.worker = Worker(name)
        self._planned = False

    def plan(self, loop: asyncio.AbstractEventLoop, start: "Callable[[Lane], None]") -> None:
        """Call `start` with this lane after the callbacks that are ready now, so that concurrent calls go together."""
        if not self._planned:
            self._planned = True
            loop.call_soon(start, self)

    def take(self) -> list[Request]:
        """Take the rows to tokenise next. Returns none while the thread is busy."""
        self._planned = False
        if self.busy:
            return []
        requests = list(self.waiting)[:_ROWS]
        for request in requests:
            del self.waiting[request]
        self.busy = bool(requests)
        return requests


def encode(model: Model, work: Sequence[tuple[Row, bool]]) -> list[Tokens | Exception]:
    """Tokenise each (row, truncate). An error takes the place of the tokens of its row. Runs in a thread."""
    outcomes: list[Tokens | Exception] = [AssertionError()] * len(work)
    for truncate in (False, True):
        indices = [index for index, (_, flag) in enumerate(work) if flag is truncate]
        rows = [work[index][0] for index in indices]
        for index, outcome in zip(indices, _encode_rows(model, rows, truncate), strict=True):
            outcomes[index] = outcome
    return outcomes


def _encode_rows(model: Model, rows: Sequence[Row], truncate: bool) -> Sequence[Tokens | Exception]:
    """Call `model.encode`. If the tokenizer itself fails, go row by row to find the one that is to blame."""
    try:
        return model.encode(rows, truncate=truncate)
    except Exception as error:
        if len(rows) == 1:
            return [error]
        return [outcome for row in rows for outcome in _encode_rows(model, [row], truncate)]
