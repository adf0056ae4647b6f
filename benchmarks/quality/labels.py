"""Parses the label of a row: a label's name or index for a classifier, a number for a scorer."""

import json
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from assay.bundle.manifest import Manifest
from assay.errors import BundleError, InputError
from benchmarks.quality.data import BadValueError

__all__ = ["choose_scale", "make_class_parser", "make_score_parser"]

INDEX = re.compile(r"[0-9]{1,9}")
INTEGER = re.compile(r"[+-]?[0-9]+")


def make_class_parser(labels: Sequence[str]) -> Callable[[Any], int]:
    """Make a function that turns a label's name, or its index in the order of the logits, into the index.

    If a name is an integer (star ratings, "1" to "5"), only names are accepted, because an index could be mistaken for
    a name.
    """
    indices = {label: index for index, label in enumerate(labels)}
    by_index = not any(INTEGER.fullmatch(label) for label in labels)
    expected = ", ".join(labels) + (f" or an index, 0 to {len(labels) - 1}" if by_index else "")

    def parse(value: Any) -> int:
        is_integer = isinstance(value, int) and not isinstance(value, bool)
        word = str(value) if is_integer else value
        if isinstance(word, str):
            if word in indices:
                return indices[word]
            if by_index and INDEX.fullmatch(word) and int(word) < len(labels):
                return int(word)
        raise BadValueError(f"label {_shorten(value)} is unknown, expected {expected}")

    return parse


def make_score_parser(limits: tuple[float, float] | None) -> Callable[[Any], float]:
    """Make a function that turns a value from JSON or from a cell into a finite number within `limits`."""

    def parse(value: Any) -> float:
        number = _parse_number(value)
        if number is None:
            raise BadValueError(f"score {_shorten(value)} is not a finite number")
        if limits is not None and not limits[0] <= number <= limits[1]:
            raise BadValueError(
                f"score {_shorten(value)} is outside the labels' scale, {limits[0]:g} to {limits[1]:g} (--label-scale)"
            )
        return number

    return parse


def choose_scale(manifest: Manifest, given: Sequence[float] | None) -> tuple[float, float] | None:
    """Choose the scale of a scorer's labels.

    Args:
        manifest: The manifest of the bundle.
        given: The value of --label-scale.

    Returns:
        `given`, by default the scale of the model's output, or None if that is unknown too.

    Raises:
        InputError: `given` is for a classifier, or is not two increasing finite numbers.
        BundleError: `given` is for a bundle that does not declare the scale of its output.
    """
    if given is None:
        return manifest.scale.native if manifest.scale else None
    if manifest.task != "regression":
        raise InputError("--label-scale is for scorers, and this model is a classifier: leave it out")
    low, high = given
    if not (math.isfinite(low) and math.isfinite(high) and math.isfinite(high - low) and low < high):
        raise InputError(f"--label-scale is {low:g} {high:g}, expected two finite numbers, the smaller first")
    if manifest.scale is None:
        raise BundleError(
            "--label-scale needs the scale of the output, which the bundle does not declare: leave it out, and label "
            "the rows in the units of the output"
        )
    return low, high


def _parse_number(value: Any) -> float | None:
    """Parse a finite number, or return None. Python accepts "1_000", which in a file is a mistake."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or (isinstance(value, str) and "_" in value):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _shorten(value: Any) -> str:
    """A value from the file, shortened for an error message."""
    if isinstance(value, int) and abs(value) >= 10**15:
        return "a very large integer"
    try:
        text = json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "a deeply nested value"
    return text if len(text) <= 60 else text[:57] + "..."
