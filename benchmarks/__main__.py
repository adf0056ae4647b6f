"""`python -m benchmarks`: its commands, each a module of HELP, add_arguments and run.

The single-question scripts beside this file have command lines of their own.
"""

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Sequence

from assay.errors import AssayError

COMMANDS = {"run": "benchmarks.suite.command", "quality": "benchmarks.quality", "readme": "benchmarks.suite.readme"}
FAILED, INTERRUPTED, BROKEN_PIPE = 1, 130, 141


def main(words: Sequence[str] | None = None) -> int:
    """The exit code of the command line `words`: 0 done, 1 failed with one line on stderr, 2 usage, 130 interrupted."""
    words = sys.argv[1:] if words is None else words
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure models and what they are run with."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    # What only another command needs may be missing.
    for name in [words[0]] if words and words[0] in COMMANDS else COMMANDS:
        try:
            command = importlib.import_module(COMMANDS[name])
        except ModuleNotFoundError as error:
            print(
                f"error: {error.name} is not installed, which python -m benchmarks {name} needs: "
                "pip install '.[cpu,export,bench]', in a clone",
                file=sys.stderr,
            )
            return FAILED
        about = f"{command.HELP[0].upper()}{command.HELP[1:]}."
        added = commands.add_parser(name, help=command.HELP, description=about)
        command.add_arguments(added)
        added.set_defaults(run=command.run)
    options = parser.parse_args(words)
    # A terminated run ends its peers like an interrupted one; Python's default for SIGTERM runs no cleanup.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output went away; the interpreter's own flush at exit must not say so again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except (AssayError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
