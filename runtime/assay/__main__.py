"""Run the command line, as `python -m assay` and as the script `assay`. Ctrl-C ends it with 130 at any moment."""

import os
import signal
import sys
from types import FrameType
from typing import Any

__all__ = ["main"]

_INTERRUPTED = 130


def main() -> int:
    """Run the command line of this process, and return its exit code."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:  # for example ignored, as nohup does
        from assay.cli.main import main as run

        return run()
    try:
        signal.signal(signal.SIGINT, _interrupt)
        sys.unraisablehook = _report_unraisable
        from assay.cli.main import main as run

        code = run()
        signal.signal(signal.SIGINT, _exit)  # the interpreter's own shutdown would print a traceback
    except KeyboardInterrupt:
        return _INTERRUPTED
    return code


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt in the main thread, or exit at once during an import.

    Extension modules turn an exception in their initialisation into an ImportError, print it, or drop it. Imports come
    before work that must be cleaned up. A second Ctrl-C exits at once in any case.
    """
    signal.signal(signal.SIGINT, _exit)
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            _exit(number, None)
        frame = frame.f_back
    raise KeyboardInterrupt


def _exit(_number: int, _frame: FrameType | None) -> None:
    os._exit(_INTERRUPTED)


def _report_unraisable(unraisable: Any) -> None:
    """Exit where KeyboardInterrupt was raised in a destructor or callback, which Python would print and drop."""
    if unraisable.exc_type is not None and issubclass(unraisable.exc_type, KeyboardInterrupt):
        os._exit(_INTERRUPTED)
    sys.__unraisablehook__(unraisable)


if __name__ == "__main__":
    sys.exit(main())
