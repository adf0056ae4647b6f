"""What a person sees of a run: a bar on a terminal, else a line now and then, and one at the end. On standard error."""

import sys
import time
from types import TracebackType
from typing import Any, Self

__all__ = ["Progress", "Silent"]

SECONDS_BETWEEN_LINES = 30.0


class Silent:
    """Shows nothing."""

    def begin(self, total: int | None, done: int) -> None:
        """The input is `total` long, as Source.total counts, of which `done` was done by an earlier run."""

    def advance(self, rows: int, tokens: int, position: int) -> None:
        """`rows` more are written, of `tokens` tokens; the input was read up to `position`."""

    def end(self) -> None:
        """Leave the terminal's line."""


class Progress(Silent):
    """Shows rows per second, tokens per second and the time left."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._total: int | None = None
        self._rows = self._tokens = self._first = 0
        self._start = self._said = time.monotonic()

    def begin(self, total: int | None, done: int) -> None:
        self._total, self._first = total, done
        self._start = self._said = time.monotonic()
        if sys.stderr.isatty():
            from tqdm import tqdm  # comes with tokenizers' huggingface_hub

            shape = "{percentage:3.0f}%|{bar:24}| {desc}, {remaining} left"
            self._bar = tqdm(
                total=total,
                initial=done,
                bar_format=shape if total else "{desc}, {elapsed}",
                leave=False,
                mininterval=0.0,  # windows are rare enough to show each
                miniters=1,
                file=sys.stderr,
                dynamic_ncols=True,
            )
            self._bar.set_description_str("0 rows")

    def advance(self, rows: int, tokens: int, position: int) -> None:
        self._rows += rows
        self._tokens += tokens
        if self._bar is not None:
            self._bar.set_description_str(self.rates(), refresh=False)
            self._bar.update(position - self._bar.n)
            return
        now = time.monotonic()
        if now - self._said >= SECONDS_BETWEEN_LINES:
            self._said = now
            print(f"assay: {self.rates()}{self._left(position, now)}", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def rates(self) -> str:
        """What this run did so far, and how fast."""
        seconds = max(time.monotonic() - self._start, 1e-9)
        return f"{self._rows:,} rows, {self._rows / seconds:,.0f} rows/s, {self._tokens / seconds:,.0f} tokens/s"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def _left(self, position: int, now: float) -> str:
        if not self._total or position <= self._first:
            return ""
        share = position / self._total
        seconds = (now - self._start) * (self._total - position) / (position - self._first)
        return f", {share:.0%}, {_duration(seconds)} left"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
