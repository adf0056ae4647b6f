"""What the benchmarks raise, and how a probe's command line ends: with exit code 1 and one line, or with its result."""

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

from assay.errors import AssayError

__all__ = ["BenchmarkError", "run_measurement"]


class BenchmarkError(AssayError):
    """A measurement cannot be made: an input, an option or an implementation is unfit or missing."""


def run_measurement(measure: Callable[[argparse.Namespace], Any], options: argparse.Namespace) -> int:
    """Measure, and write what `measure` returns to the file `options.json`, if one is given.

    Returns:
        The exit code: 0, or 1 with one line on standard error.
    """
    try:
        result = measure(options)
        if options.json:
            options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    except (AssayError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
