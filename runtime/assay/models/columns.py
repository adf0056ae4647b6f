"""The columns that a model adds to a table of texts: which ones a bundle has, and their values."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from assay.bundle.manifest import Manifest
from assay.errors import AssayError, InputError
from assay.inputs.validation import describe, first_twice
from assay.models.base import Float32, Model
from assay.models.classifier import Classifier
from assay.models.scorer import Scorer
from assay.models.streams.streaming import Answered
from assay.models.thresholds import Threshold

__all__ = ["ERROR", "NAMES", "check_scale", "choose", "tabulate"]

NAMES = ("label", "labels", "score", "scores", "evol_complexity")
"""The best label, all labels that a row of a multi-label bundle has, the score of the best label or of a regression, a
score for each label, and the DEITA Evol-Complexity."""

ERROR = "error"
"""The column that says why a row has no answer, where rows may lack one."""


def choose(manifest: Manifest, names: Sequence[str] | None) -> tuple[str, ...]:
    """Return the columns `names`.

    The default is label and score, for a multi-label bundle labels and scores, and for a regression score.

    Raises:
        InputError: The bundle does not answer one of `names`, or one is there twice.
    """
    possible, default = ["score"], ["score"]
    if manifest.is_multi_label:
        possible, default = ["label", "labels", "score", "scores"], ["labels", "scores"]
    elif manifest.task == "classification":
        possible, default = ["label", "score", "scores"], ["label", "score"]
    if manifest.scale is not None and manifest.scale.evol_complexity is not None:
        possible.append("evol_complexity")
    if names is None:
        return tuple(default)
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise InputError(f"columns is {describe(names)}, expected a list of names")
    wrong = next((repr(name) for name in names if name not in possible), None if names else "none")
    if wrong is not None:
        raise InputError(f"columns: found {wrong:.80}, expected of this {manifest.task} bundle {', '.join(possible)}")
    twice = first_twice(names)
    if twice is not None:
        raise InputError(f"columns: found {twice!r} twice, expected each once")
    return tuple(names)


def check_scale(model: Model, scale: Sequence[float] | None) -> None:
    """Raise InputError or BundleError where the scores of `model` cannot be rescaled to `scale`, before it runs."""
    if isinstance(model, Scorer):
        model.scores(np.empty((0, 1), np.float32), scale)
    elif scale is not None:
        raise InputError(f"scale is {describe(scale)}, expected none: this bundle classifies")


def tabulate(
    names: Sequence[str],
    model: Model,
    answered: Answered,
    scale: Sequence[float] | None,
    threshold: Threshold | None,
    errors: Mapping[int, AssayError] | None,
) -> dict[str, list[Any]]:
    """Return the columns `names` of a window, each a list with an entry per row, None for a row without an answer.

    Args:
        names: Of NAMES. A value is a str, float, int, a list of labels, or a dict of label to score.
        model: The model that answered.
        answered: Its answers.
        scale: (min, max) for the scores of a regression.
        threshold: The least score of a label that a row of a multi-label bundle has.
        errors: The errors as the column ERROR tells them, by row; None for no such column.
    """
    table: dict[str, list[Any]] = {name: [None] * len(answered) for name in names}
    for name, column in table.items():
        for row, value in zip(answered.rows, _values(name, model, answered.logits, scale, threshold), strict=True):
            column[row] = value
    if errors is not None:
        table[ERROR] = [_error_text(errors[row]) if row in errors else None for row in range(len(answered))]
    return table


def _values(
    name: str, model: Model, logits: Float32, scale: Sequence[float] | None, threshold: Threshold | None
) -> list[Any]:
    if isinstance(model, Scorer):
        found = model.evol_complexities(logits) if name == "evol_complexity" else model.scores(logits, scale)
        return list(found.tolist())
    assert isinstance(model, Classifier)  # there is no third kind
    return [getattr(prediction, name) for prediction in model.predictions(logits, threshold)]


def _error_text(error: Exception) -> str:
    """Return `error` on one line that can be written as UTF-8, even if it names a file whose name is not UTF-8."""
    return " ".join(str(error).split()).encode("utf-8", "backslashreplace").decode("utf-8")
