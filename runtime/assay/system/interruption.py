"""End a command quietly with exit code 130 at Ctrl-C, whatever it interrupts. For processes that are a command."""

import os
import signal
import sys
from types import FrameType
from typing import Any

__all__ = ["INTERRUPTED", "finish", "listen", "was_interrupted"]

INTERRUPTED = 130
"""The exit code of a shell for a command that was interrupted."""

_interrupted = False


def listen() -> None:
    """Handle SIGINT from now on, unless this process handles or ignores it already. Call it in the main thread."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
        sys.unraisablehook = _report_unraisable


def finish() -> None:
    """Let SIGINT exit at once: the exit code is known, and the interpreter's shutdown would print a traceback."""
    if signal.getsignal(signal.SIGINT) is _interrupt:
        signal.signal(signal.SIGINT, _exit)


def was_interrupted() -> bool:
    """Return whether SIGINT arrived. A library may have turned the KeyboardInterrupt into another exception."""
    return _interrupted


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, or exit at once during an import and at a second Ctrl-C.

    Extension modules turn an exception in their initialisation into an ImportError, print it, or drop it. Imports come
    before work that must be cleaned up.
    """
    global _interrupted
    _interrupted = True
    signal.signal(signal.SIGINT, _exit)
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            _exit(number, None)
        frame = frame.f_back
    raise KeyboardInterrupt


def _exit(_number: int, _frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)


def _report_unraisable(unraisable: Any) -> None:
    """Exit if KeyboardInterrupt was raised in a destructor or callback, where Python would print and drop it."""
    if unraisable.exc_type is not None and issubclass(unraisable.exc_type, KeyboardInterrupt):
        os._exit(INTERRUPTED)
    sys.__unraisablehook__(unraisable)
