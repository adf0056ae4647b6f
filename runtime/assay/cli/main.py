"""The entry point of the command `assay`: runs the command line and turns every failure into one line.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done except for some rows (annotate); as in shells, 130 interrupted and
141 where the reader of standard output went away.

Only light modules are imported here at first, so that Ctrl-C is handled before the others are imported.
"""

import contextlib
import os
import sys
import threading
import traceback
from collections.abc import Sequence

from assay.control_characters import escape_controls
from assay.errors import AssayError, one_line
from assay.system import interruption

__all__ = ["main"]

FAILED, USAGE, BROKEN_PIPE = 1, 2, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv`, by default that of the process, and return its exit code.

    Errors are printed and not raised, except that wrong usage and --help raise SystemExit, as argparse does.
    """
    try:
        if argv is None and threading.current_thread() is threading.main_thread():
            interruption.listen()
        code = _run_safely(list(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:  # that came while another error was reported
        code = interruption.INTERRUPTED
    if argv is None and code != 0:
        _leave_threads(code)
    return code


def _run_safely(words: Sequence[str]) -> int:
    debug = "--debug" in words[: words.index("--")] if "--" in words else "--debug" in words
    # A label or a path that the terminal's encoding lacks must not fail an answer that was computed.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        return _run(words)
    except KeyboardInterrupt:
        return interruption.INTERRUPTED
    except BrokenPipeError:
        _give_up_output()
        return BROKEN_PIPE
    except Exception as error:
        if interruption.was_interrupted():  # a library turned the KeyboardInterrupt into another error
            return interruption.INTERRUPTED
        if debug:
            traceback.print_exc()
        print(f"assay: error: {_explain(error)}", file=sys.stderr)
        _give_up_output()
        return FAILED


def _run(words: Sequence[str]) -> int:
    if sys.stdout is None:
        raise OSError("standard output is closed, expected it open for the answer")
    from assay.cli.options import UsageError
    from assay.cli.parser import find_command, make_parser

    try:
        args = make_parser(words).parse_args(words)
        code: int = args.command_module.run(args)
        return code
    except UsageError as error:
        print(f"assay: error: {error} (see assay {find_command(words)} --help)", file=sys.stderr)
        return USAGE
    finally:
        sys.stdout.flush()  # a full disk, or a reader that went away, shows here at the latest


def _explain(error: Exception) -> str:
    """Return what went wrong on one line."""
    if isinstance(error, AssayError):
        return escape_controls(" ".join(str(error).split()))
    if isinstance(error, ModuleNotFoundError):
        return f"this command needs {error.name}, which is not installed; to fix it: pip install 'assay[export]'"
    if isinstance(error, OSError):
        return one_line(error)
    return f"{type(error).__name__}: {one_line(error)} (a defect of assay: please report it with the output of --debug)"


def _leave_threads(code: int) -> None:
    """End the process at once if a thread of assay is left, for which the interpreter would wait.

    It may answer rows that nobody needs any more, or wait for a line of standard input that never comes.
    """
    if any(thread.name.startswith("assay") for thread in threading.enumerate()):
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def _give_up_output() -> None:
    """Point standard output at nothing if it takes no more bytes, or the interpreter's last flush would complain."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
