"""What the label of a row may be: a label's name or index for a classifier, a number for a scorer."""

import json
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from assay.bundle.manifest import Manifest
from assay.errors import BundleError, InputError

from .data import BadValueError

__all__ = ["class_reader", "label_scale", "score_reader"]

INDEX = re.compile(r"[0-9]{1,9}")
INTEGER = re.compile(r"[+-]?[0-9]+")


def class_reader(labels: Sequence[str]) -> Callable[[Any], int]:
    """Reads a label's name or its index in logit order, from JSON or from a cell, as its index.

    Where a name is itself an integer (star ratings, "1" to "5"), an index could not be told from it: names only.
    """
    indices = {label: index for index, label in enumerate(labels)}
    by_index = not any(INTEGER.fullmatch(label) for label in labels)
    expected = ", ".join(labels) + (f" or an index, 0 to {len(labels) - 1}" if by_index else "")

    def read(value: Any) -> int:
        is_integer = isinstance(value, int) and not isinstance(value, bool)
        word = str(value) if is_integer else value
        if isinstance(word, str):
            if word in indices:
                return indices[word]
            if by_index and INDEX.fullmatch(word) and int(word) < len(labels):
                return int(word)
        raise BadValueError(f"label {_shown(value)} is unknown, expected {expected}")

    return read


def score_reader(limits: tuple[float, float] | None) -> Callable[[Any], float]:
    """Reads a finite number within `limits`, from JSON or from a cell."""

    def read(value: Any) -> float:
        number = _number(value)
        if number is None:
            raise BadValueError(f"score {_shown(value)} is no finite number")
        if limits is not None and not limits[0] <= number <= limits[1]:
            raise BadValueError(
                f"score {_shown(value)} is outside the labels' scale, {limits[0]:g} to {limits[1]:g} (--label-scale)"
            )
        return number

    return read


def label_scale(manifest: Manifest, given: Sequence[float] | None) -> tuple[float, float] | None:
    """The scale of a scorer's labels: what was `given`, by default the model's own; None where neither is known.

    Raises:
        InputError: `given` to a classifier, or not two rising finite numbers.
        BundleError: `given` for a bundle that does not say what its output's scale is.
    """
    if given is None:
        return manifest.scale.native if manifest.scale else None
    if manifest.task != "regression":
        raise InputError("--label-scale was given, but this model classifies: leave it out")
    low, high = given
    if not (math.isfinite(low) and math.isfinite(high) and math.isfinite(high - low) and low < high):
        raise InputError(f"--label-scale is {low:g} {high:g}, expected two finite numbers, the smaller first")
    if manifest.scale is None:
        raise BundleError(
            "--label-scale was given, but the bundle does not say that its output is in 0..1: give labels in the "
            "output's own units, and leave it out"
        )
    return low, high


def _number(value: Any) -> float | None:
    """`value` as a finite number, None where it is none. "1_000" is a number to Python, and a mistake in a file."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or (isinstance(value, str) and "_" in value):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _shown(value: Any) -> str:
    """A value from the file, short."""
    if isinstance(value, int) and abs(value) >= 10**15:
        return "a very large integer"
    try:
        text = json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "a deeply nested value"
    return text if len(text) <= 60 else text[:57] + "..."
