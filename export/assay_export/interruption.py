"""SIGINT and SIGTERM end an export, even if the KeyboardInterrupt that they raise is lost or replaced on its way.

Python runs a signal's handler between any two of its instructions. If these belong to a destructor, the callback of a
weak reference, or a function that C++ calls, Python prints the exception and drops it, and the export would go on to
its end. An import that is interrupted may fail with another exception. So the handler also takes a note, which is read
before and after every step, and when an exception leaves the export. The last step ends right before the bundle appears
under its name.
"""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING

from assay_export.progress import Progress

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

__all__ = ["Interruptible"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruptible:
    """A Progress that reports to another one, and raises KeyboardInterrupt if a signal has asked for the end."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._is_asked = False

    @contextlib.contextmanager
    def listen(self) -> Iterator[None]:
        """Handle both signals inside the block. Python's default for SIGTERM ends a process without any cleanup.

        Raises:
            KeyboardInterrupt: A signal arrived, and the block ended with an exception, whichever it was.
        """
        previous = {number: signal.signal(number, self._interrupt) for number in _SIGNALS}
        report = sys.unraisablehook

        def drop_interrupts(unraisable: "UnraisableHookArgs") -> None:
            if not (self._is_asked and issubclass(unraisable.exc_type, KeyboardInterrupt)):
                report(unraisable)

        sys.unraisablehook = drop_interrupts
        try:
            yield
        except Exception as error:
            if self._is_asked:
                raise KeyboardInterrupt from error
            raise
        finally:
            sys.unraisablehook = report
            for number, handler in previous.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Report a step of unknown length."""
        self._check()
        with self._progress.step(name):
            yield
        self._check()

    @contextlib.contextmanager
    def bar(self, name: str, total: int) -> Iterator[Callable[[], None]]:
        """Report a step of `total` parts."""
        self._check()
        with self._progress.bar(name, total) as advance:
            yield advance
        self._check()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self._is_asked = True
        raise KeyboardInterrupt

    def _check(self) -> None:
        if self._is_asked:
            raise KeyboardInterrupt
