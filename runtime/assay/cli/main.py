"""The command `assay`: finds the command asked for, parses its arguments, and turns every failure into one line.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done but for some rows (annotate); as shells have it, 130 interrupted,
and 141 where the reader of standard output went away. Each command is a module of HELP, add_arguments and run. The lean
ones lie beside this file. Others announce themselves as entry points of the group "assay.commands", and are imported
only when they are asked for.
"""

import argparse
import contextlib
import os
import sys
import threading
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn, Protocol

from assay.cli import annotate, fetch, info, predict, score, triton, verify, warmup
from assay.cli.options import UsageError
from assay.errors import AssayError, one_line

__all__ = ["Command", "main"]

FAILED, USAGE, INTERRUPTED, BROKEN_PIPE = 1, 2, 130, 141
ENTRY_POINTS = "assay.commands"


class Command(Protocol):
    """What a command's module holds. `run` gives the exit code."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace) -> int: ...


_OWN: dict[str, Command] = {
    "predict": predict,
    "score": score,
    "annotate": annotate,
    "info": info,
    "verify": verify,
    "warmup": warmup,
    "fetch": fetch,
    "triton": triton,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (by default the process's) and give its exit code. Prints errors, never raises them.

    Wrong usage and --help raise SystemExit, as argparse does.
    """
    code = _code(list(sys.argv[1:] if argv is None else argv))
    if argv is None and code != 0:
        _leave_threads(code)
    return code


def _code(words: Sequence[str]) -> int:
    debug = "--debug" in words[: words.index("--")] if "--" in words else "--debug" in words
    # A label or a path that the terminal's encoding lacks must not fail an answer that was computed.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        return _run(words)
    except UsageError as error:
        print(f"assay: error: {error} (see assay {_asked(words)} --help)", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _give_up_output()
        return BROKEN_PIPE
    except Exception as error:
        if debug:
            traceback.print_exc()
        print(f"assay: error: {_message(error)}", file=sys.stderr)
        _give_up_output()
        return FAILED


def _run(words: Sequence[str]) -> int:
    if sys.stdout is None:
        raise OSError("standard output is closed, expected it open for the answer")
    try:
        args = _parser(words).parse_args(words)
        command: Command = args.command_module
        return command.run(args)
    finally:
        sys.stdout.flush()  # a full disk and a reader that went away show here at the latest


class _Parser(argparse.ArgumentParser):
    """argparse, with errors on one line and options never abbreviated."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"assay: error: {' '.join(message.split())} (see {self.prog} --help)\n")


class _CommandParser(_Parser):
    """A command's parser: options may stand between its texts, which argparse allows only where it is asked to."""

    _mixing = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self._mixing:  # parse_known_intermixed_args comes back here, for options and for the rest
            return super().parse_known_args(args, namespace)
        self._mixing = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._mixing = False


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(prog="assay", description="Answers from Assay bundles, and makes them.", allow_abbrev=False)
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    _add_debug(parser)
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", dest="command", required=True, parser_class=_CommandParser
    )
    for name, command in _OWN.items():
        _add_command(commands, name, command)
    asked = _asked(words)
    if asked in _OWN:
        return parser  # looking for entry points takes longer than all of the above
    from importlib.metadata import entry_points

    for entry in sorted(entry_points(group=ENTRY_POINTS)):
        if entry.name in commands.choices:
            continue
        if entry.name == asked:
            _add_command(commands, entry.name, entry.load())
        else:
            commands.add_parser(entry.name, help=f"see assay {entry.name} --help", add_help=False)
    return parser


def _asked(words: Sequence[str]) -> str | None:
    """The command's name: the first word that is no option, none of the options before it taking a value."""
    return next((word for word in words if not word.startswith("-")), None)


def _add_command(commands: "argparse._SubParsersAction[_CommandParser]", name: str, command: Command) -> None:
    parser = commands.add_parser(name, help=command.HELP, description=command.HELP, allow_abbrev=False)
    command.add_arguments(parser)
    _add_debug(parser)
    parser.set_defaults(command_module=command)


def _add_debug(parser: argparse.ArgumentParser) -> None:
    # SUPPRESS, or the command's parser would put its default over what stood before the command.
    parser.add_argument(
        "--debug", action="store_true", default=argparse.SUPPRESS, help="show the traceback of an error"
    )


class _Version(argparse.Action):
    """--version, which looks the version up only when asked."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        import assay

        print(f"assay {assay.__version__}")
        parser.exit()


def _message(error: Exception) -> str:
    """One line that says what went wrong."""
    if isinstance(error, AssayError):
        return " ".join(str(error).split())
    if isinstance(error, ModuleNotFoundError):
        return f"this command needs {error.name}, which is not installed; to fix it: pip install 'assay[export]'"
    if isinstance(error, OSError):
        return one_line(error)
    return f"{type(error).__name__}: {one_line(error)} (a defect of assay: please report it with the output of --debug)"


def _leave_threads(code: int) -> None:
    """End the process at once where a thread of assay is left, for which the interpreter would wait.

    It may answer rows that nobody wants any more, or wait for a line of standard input that never comes.
    """
    if any(thread.name.startswith("assay") for thread in threading.enumerate()):
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def _give_up_output() -> None:
    """Point standard output at nothing if it takes no more: the interpreter's last flush would fail aloud."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
