"""assay completion: a script with which a shell completes the commands and options of assay."""

import argparse
from collections.abc import Iterator
from typing import Any

from assay.optional_packages import require

__all__ = ["HELP", "add_arguments", "run"]

HELP = "print a script that makes your shell complete assay's commands and options"

_FILES = ("BUNDLE", "FILE", "INPUT", "OUT", "OUTPUT", "SOURCE", "FOLDER_OR_ID")
"""The metavars of arguments that may be paths."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help='for bash: eval "$(assay completion bash)"')


def run(args: argparse.Namespace) -> int:
    shtab: Any = require("shtab", "'assay[completion]'", "assay completion")
    action: Any  # shtab looks for an attribute that argparse does not know
    for action in _find_actions(args.parser):
        if action.metavar in _FILES:
            action.complete = shtab.FILE
    print(shtab.complete(args.parser, args.shell))
    return 0


def _find_actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _find_actions(command)
