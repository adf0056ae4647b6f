"""What the command lines of the probes share: one line for an error, and the result as JSON."""

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

from assay.errors import AssayError

__all__ = ["run_measurement"]


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
