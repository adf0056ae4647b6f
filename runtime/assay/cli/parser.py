"""The commands of `assay`, and the parser of their arguments.

Each command is a module with HELP, add_arguments and run. Those of the lean runtime are in assay.cli.commands. Others
announce themselves as entry points of the group "assay.commands", and are imported only when they are asked for.
"""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn, Protocol

from assay.cli.commands import (
    annotate,
    completion,
    fetch,
    info,
    predict,
    push,
    score,
    select,
    serve_demo,
    triton,
    verify,
    warmup,
)

__all__ = ["Command", "find_command", "make_parser"]

ENTRY_POINTS = "assay.commands"
_USAGE = 2


class Command(Protocol):
    """What the module of a command has. `run` returns the exit code."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace) -> int: ...


_OWN: dict[str, Command] = {
    "predict": predict,
    "score": score,
    "annotate": annotate,
    "select": select,
    "info": info,
    "verify": verify,
    "warmup": warmup,
    "fetch": fetch,
    "push": push,
    "triton": triton,
    "serve-demo": serve_demo,
    "completion": completion,
}


class _Parser(argparse.ArgumentParser):
    """argparse with errors on one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(_USAGE, f"assay: error: {' '.join(message.split())} (see {self.prog} --help)\n")


class _CommandParser(_Parser):
    """The parser of a command: options may stand between its texts, which argparse allows only on request."""

    _mixing = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self._mixing:  # parse_known_intermixed_args comes back here, for options and for the rest
            return super().parse_known_args(args, namespace)
        self._mixing = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._mixing = False


def make_parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser for the command line `words`. Of the commands elsewhere only what `words` need is imported."""
    parser = _Parser(prog="assay", description="Answers from Assay bundles, and makes them.", allow_abbrev=False)
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    _add_debug(parser)
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", dest="command", required=True, parser_class=_CommandParser
    )
    for name, command in _OWN.items():
        _add_command(commands, name, command)
    asked = find_command(words)
    completes = asked == "completion"
    if asked in _OWN and not completes:
        return parser  # looking for entry points takes longer than all of the above
    from importlib.metadata import entry_points

    for entry in sorted(entry_points(group=ENTRY_POINTS)):
        if entry.name in commands.choices:
            continue
        if entry.name == asked or completes:
            _add_command(commands, entry.name, entry.load())
        else:
            commands.add_parser(entry.name, help=f"see assay {entry.name} --help", add_help=False)
    if completes:
        commands.choices["completion"].set_defaults(parser=parser)
    return parser


def find_command(words: Sequence[str]) -> str | None:
    """Return the command's name: the first word that is not an option, as no option before it takes a value."""
    return next((word for word in words if not word.startswith("-")), None)


def _add_command(commands: "argparse._SubParsersAction[_CommandParser]", name: str, command: Command) -> None:
    parser = commands.add_parser(name, help=command.HELP, description=command.HELP, allow_abbrev=False)
    command.add_arguments(parser)
    _add_debug(parser)
    parser.set_defaults(command_module=command)


def _add_debug(parser: argparse.ArgumentParser) -> None:
    # With a default, the command's parser would overwrite what stood before the command.
    parser.add_argument(
        "--debug", action="store_true", default=argparse.SUPPRESS, help="show the traceback of an error"
    )


class _Version(argparse.Action):
    """--version, which looks the version up only on request."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        import assay

        print(f"assay {assay.__version__}")
        parser.exit()
