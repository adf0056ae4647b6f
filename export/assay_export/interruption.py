"""SIGINT and SIGTERM end an export, also where the KeyboardInterrupt that they raise is lost on its way.

Python runs a signal's handler between any two of its instructions. Where these belong to a destructor, a weak
reference's callback or a function that C++ calls, the exception is printed and dropped, and the export would go on to
its end as though nobody had asked. So the handler also takes a note, which is looked at before and after every step;
the last step ends right before the bundle appears under its name.
"""

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType

from assay_export.progress import Progress


class Interruptible:
    """A Progress that reports to another, and raises KeyboardInterrupt where a signal asked for the end."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._asked = False

    def listen(self) -> None:
        """Take both signals. Python's default for SIGTERM ends the process without any cleanup."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._interrupt)

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        self._check()
        with self._progress.step(name):
            yield
        self._check()

    @contextlib.contextmanager
    def bar(self, name: str, total: int) -> Iterator[Callable[[], None]]:
        self._check()
        with self._progress.bar(name, total) as advance:
            yield advance
        self._check()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self._asked = True
        raise KeyboardInterrupt

    def _check(self) -> None:
        if self._asked:
            raise KeyboardInterrupt
