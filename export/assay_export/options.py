"""The options of an export, all checked before any work begins."""

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.bundle.fields import MAX_NUMBER
from assay.control_characters import find_control
from assay.files import find_encoding_problem, to_utf_8
from assay.inputs.validation import describe, first_twice
from assay_export.checkpoint.presets import Input
from assay_export.errors import ExportError
from assay_export.variants.int8.gate import Limits
from assay_export.variants.table import WRITERS, find_problem

__all__ = ["Options", "check_options"]

_STANDARD_INPUT = "-"


@dataclass(frozen=True)
class Options:
    """What the user asked for, checked; `assay_export.export` documents each option.

    `variants` are those in addition to fp32, in the order in which they are written.
    """

    source: str | os.PathLike[str]
    out: Path
    revision: str | None
    base: str | os.PathLike[str] | None
    input: Input | None
    labels: tuple[str, ...] | None
    variants: tuple[str, ...]
    calibration: Path | None
    limits: Limits
    score_range: tuple[float, float] | None
    force: bool


def check_options(
    source: Any,
    out: Any,
    *,
    revision: Any,
    base: Any,
    input: Any,
    labels: Any,
    variants: Any,
    calibration: Any,
    max_flips: Any,
    max_drift: Any,
    score_range: Any,
    force: Any,
) -> Options:
    """Check the type and the value of every option.

    Raises:
        ExportError: An option is not what the export takes, or two options contradict each other.
    """
    others = _check_variants(variants)
    if calibration is not None and not others:
        raise ExportError("calibration text was given, but fp32 does not use it: add --variants fp32,int8")
    return Options(
        source=_check_path(source, "source", "a preset's name, a Hub id or a folder"),
        out=Path(_check_path(out, "out", "the path of a folder to write")),
        revision=_check_revision(revision),
        base=None if base is None else _check_path(base, "base", "a folder or a Hub id"),
        input=_check_input(input),
        labels=_check_labels(labels),
        variants=others,
        calibration=_check_calibration(calibration),
        limits=Limits.of(_check_number(max_flips, "max_flips"), _check_number(max_drift, "max_drift")),
        score_range=_check_score_range(score_range),
        force=_check_force(force),
    )


def _check_path(value: Any, name: str, expected: str) -> str | os.PathLike[str]:
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise ExportError(f"{name} is {_show(value)}, expected {expected}")
    text = os.fspath(value)
    if not isinstance(text, str) or "\0" in text:
        raise ExportError(f"{name} is {text!a:.80}, expected {expected}")
    if (problem := find_encoding_problem(text)) is not None:
        raise ExportError(f"{name}: {problem}")
    if control := find_control(to_utf_8(text)):
        raise ExportError(f"{name} has the control character {control}, expected {expected} without any")
    return value


def _check_revision(value: Any) -> str | None:
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise ExportError(f"revision is {_show(value)}, expected a branch, a tag or a commit on the Hub")
    return value


def _check_input(value: Any) -> Input | None:
    if value not in (None, "pair", "text"):
        raise ExportError(f"input is {_show(value)}, expected 'pair' or 'text'")
    return value


def _check_names(value: Any, name: str, example: str) -> tuple[str, ...]:
    """Return a list of names as a tuple. A bare string is refused: its characters are not names."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise ExportError(f"{name} is {_show(value)}, expected a list of names, such as {example}")
    names = tuple(value)
    for index, found in enumerate(names):
        if not isinstance(found, str) or not found.strip():
            raise ExportError(f"{name}[{index}] is {_show(found)}, expected a name that is not empty")
        if control := find_control(found):
            raise ExportError(f"{name}[{index}] is {_show(found)} with the control character {control}, expected none")
    return names


def _check_labels(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    labels = _check_names(value, "labels", "['no', 'yes']")
    if not labels:
        raise ExportError("labels is empty, expected a name for each output, or no labels at all")
    twice = first_twice(labels)
    if twice is not None:
        raise ExportError(f"labels has {twice!r} twice, expected a different name for each output")
    return labels


def _check_variants(value: Any) -> tuple[str, ...]:
    """Return the variants in addition to fp32."""
    chosen = set(_check_names(value, "variants", "['fp32', 'int8']"))
    if "fp32" not in chosen or not chosen <= {"fp32", *WRITERS}:
        raise ExportError(
            f"the variants are {', '.join(sorted(chosen)) or 'none'}, expected fp32, which every bundle has, and any "
            f"of {', '.join(WRITERS)}"
        )
    others = tuple(name for name in WRITERS if name in chosen)
    for name in others:
        if problem := find_problem(name):
            raise ExportError(problem)
    return others


def _check_calibration(value: Any) -> Path | None:
    if value is None:
        return None
    path = Path(_check_path(value, "calibration", "the path of a file"))
    if str(path) != _STANDARD_INPUT and not path.is_file():
        raise ExportError(f"calibration is {path}, which is not a file here: check the path")
    return path


def _check_number(value: Any, name: str) -> float | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ExportError(f"{name} is {_show(value)}, expected a number above 0 and at most 1")
    return value


def _check_score_range(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    expected = f"expected two finite numbers, the lower one first, such as (0, 1), of at most {MAX_NUMBER:g}"
    if isinstance(value, str | bytes) or not isinstance(value, Sequence) or len(value) != 2:
        raise ExportError(f"score_range is {_show(value)}, {expected}")
    if any(isinstance(end, bool) or not isinstance(end, int | float) for end in value):
        raise ExportError(f"score_range is ({_show(value[0])}, {_show(value[1])}), {expected}")
    try:
        low, high = float(value[0]), float(value[1])
    except OverflowError:
        low = high = math.inf
    if not -MAX_NUMBER <= low < high <= MAX_NUMBER:
        raise ExportError(f"score_range is ({low}, {high}), {expected}")
    return low, high


def _check_force(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ExportError(f"force is {_show(value)}, expected True or False")
    return value


def _show(value: Any) -> str:
    return repr(value) if isinstance(value, str) and len(value) <= 80 else describe(value)
