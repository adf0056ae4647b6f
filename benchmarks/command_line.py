"""What the probes' command lines share: the parser, the options that several have, and how they end."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from assay.errors import AssayError

__all__ = ["add_json", "add_nncf_options", "make_parser", "parse_count", "parse_counts", "run_measurement"]


def make_parser(probe: str, documentation: str | None) -> argparse.ArgumentParser:
    """Return the parser of a probe, which its module's docstring describes in the first line."""
    return argparse.ArgumentParser(
        prog=f"python -m benchmarks.probes.{probe}", description=(documentation or "").split("\n")[0]
    )


def add_nncf_options(parser: argparse.ArgumentParser, ungated: bool = True) -> None:
    """Add the options of a comparison with a model that NNCF quantised: --work, and --ungated for stand-ins."""
    if ungated:
        parser.add_argument(
            "--ungated", action="store_true", help="random weights: give the bundle an ungated int8 graph"
        )
    parser.add_argument(
        "--work", type=Path, default=Path("build/int8_peers"), metavar="FOLDER", help="keeps the model that NNCF made"
    )


def add_json(parser: argparse.ArgumentParser, results: str) -> None:
    """Add --json, whose file `run_measurement` writes; `results` are what it has."""
    parser.add_argument("--json", type=Path, metavar="FILE", help=f"write {results} there")


def parse_count(word: str) -> int:
    """Parse a number of at least 1: the `type` of an option."""
    try:
        number = int(word)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"found {word!r}, expected a whole number of at least 1")
    return number


def parse_counts(words: str) -> list[int]:
    """Parse numbers of at least 1 with commas between them: the `type` of an option."""
    try:
        return [parse_count(word) for word in words.split(",")]
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"found {words!r}, expected whole numbers of at least 1 such as 16,64"
        ) from None


def run_measurement(measure: Callable[[argparse.Namespace], Any], options: argparse.Namespace) -> int:
    """Measure, and write what `measure` returns to the file `options.json`, if one is given.

    Returns:
        The exit code: 0, or 1 with one line on standard error.
    """
    try:
        result = measure(options)
        if path := getattr(options, "json", None):
            path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    except (AssayError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
