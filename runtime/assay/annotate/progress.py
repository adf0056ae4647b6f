"""Shows on standard error how far a run is: a line that is rewritten on a terminal, else a line now and then."""

import shutil
import sys
import time
from types import TracebackType
from typing import Self

__all__ = ["Progress", "Silent"]

SECONDS_BETWEEN_LINES = 30.0
SECONDS_BETWEEN_REWRITES = 0.1

_CLEAR = "\r\x1b[K"


class Silent:
    """Shows nothing."""

    def begin(self, total: int | None, done: int) -> None:
        """Start with an input of length `total`, in the unit of Source.total; an earlier run did `done` of it."""

    def advance(self, rows: int, tokens: int, position: int) -> None:
        """Count `rows` more that were written, of `tokens` tokens; the input was read up to `position`."""

    def end(self) -> None:
        """Leave the terminal's line."""


class Progress(Silent):
    """Shows rows per second, tokens per second and the time left."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._total: int | None = None
        self._rows = self._tokens = self._first = 0
        self._start = self._shown = time.monotonic()

    def begin(self, total: int | None, done: int) -> None:
        self._total, self._first = total, done
        self._start = self._shown = time.monotonic()
        if self._terminal:
            self._rewrite("0 rows")

    def advance(self, rows: int, tokens: int, position: int) -> None:
        self._rows += rows
        self._tokens += tokens
        now = time.monotonic()
        if now - self._shown < (SECONDS_BETWEEN_REWRITES if self._terminal else SECONDS_BETWEEN_LINES):
            return
        self._shown = now
        line = f"assay: {self.rates()}{self._remaining(position, now)}"
        if self._terminal:
            self._rewrite(line)
        else:
            print(line, file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._terminal:
            print(_CLEAR, end="", file=sys.stderr, flush=True)

    def rates(self) -> str:
        """Return what this run did so far, and how fast."""
        seconds = max(time.monotonic() - self._start, 1e-9)
        return f"{self._rows:,} rows, {self._rows / seconds:,.0f} rows/s, {self._tokens / seconds:,.0f} tokens/s"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def _rewrite(self, line: str) -> None:
        width = shutil.get_terminal_size().columns - 1  # a full line would wrap
        print(f"{_CLEAR}{line[:width]}", end="", file=sys.stderr, flush=True)

    def _remaining(self, position: int, now: float) -> str:
        if not self._total or position <= self._first:
            return ""
        share = position / self._total
        seconds = (now - self._start) * (self._total - position) / (position - self._first)
        return f", {share:.0%}, {_format_duration(seconds)} left"


def _format_duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
