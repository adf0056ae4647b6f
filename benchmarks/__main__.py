"""`python -m benchmarks COMMAND`. Each command is a module with HELP, add_arguments and run.

Stand-ins and probes have separate command lines: `python -m benchmarks.standins`, `python -m benchmarks.probes.NAME`.
"""

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Sequence

from assay.errors import AssayError

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "run": "benchmarks.suite.command",
    "report": "benchmarks.suite.report.document",
    "compare": "benchmarks.suite.compare.command",
    "quality": "benchmarks.quality.command",
    "quality-page": "benchmarks.quality.page",
    "readme": "benchmarks.suite.readme.command",
}
FAILED, INTERRUPTED, BROKEN_PIPE = 1, 130, 141


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0 for success, 1 for a failure with one line on standard error, 2 for wrong usage, 130 if
        interrupted, 141 if the reader of the output has gone.
    """
    words = sys.argv[1:] if words is None else words
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure models and what they run on.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    # Packages that only another command needs may be missing.
    for name in [words[0]] if words and words[0] in COMMANDS else COMMANDS:
        try:
            command = importlib.import_module(COMMANDS[name])
        except ModuleNotFoundError as error:
            print(
                f"error: python -m benchmarks {name} needs {error.name}, which is not installed: "
                "run pip install ./kernels '.[cpu,export,bench]' in a clone",
                file=sys.stderr,
            )
            return FAILED
        about = f"{command.HELP[0].upper()}{command.HELP[1:]}."
        added = commands.add_parser(name, help=command.HELP, description=about)
        command.add_arguments(added)
        added.set_defaults(run=command.run)
    options = parser.parse_args(words)
    # A terminated run must end its peers like an interrupted one. By default SIGTERM runs no cleanup in Python.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of the output has gone. Without this, the interpreter reports it again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except (AssayError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
