"""The columns that a model adds to a table of texts: which a bundle answers, and their values."""

from collections.abc import Sequence
from typing import Any

from assay.bundle.manifest import Manifest
from assay.errors import InputError
from assay.inputs.validation import describe, first_twice
from assay.models.base import Float32, Model
from assay.models.classifier import Classifier
from assay.models.scorer import Scorer

__all__ = ["ERROR", "NAMES", "chosen", "error_text", "values"]

NAMES = ("label", "score", "scores", "evol_complexity")
"""The best label, its score or the regression's, a score for each label, and the DEITA Evol-Complexity."""

ERROR = "error"
"""The column that says why a row has no answer, where rows may be without."""


def chosen(manifest: Manifest, names: Sequence[str] | None) -> tuple[str, ...]:
    """The columns `names`, by default label and score, or score.

    Raises InputError unless the bundle answers each of `names`, and each is there once.
    """
    classifies = manifest.task == "classification"
    possible = ["label", "score", "scores"] if classifies else ["score"]
    if manifest.scale is not None:
        possible.append("evol_complexity")
    if names is None:
        return ("label", "score") if classifies else ("score",)
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise InputError(f"columns is {describe(names)}, expected a list of names")
    wrong = next((repr(name) for name in names if name not in possible), None if names else "none")
    if wrong is not None:
        raise InputError(f"columns: found {wrong:.80}, expected of this {manifest.task} bundle {', '.join(possible)}")
    twice = first_twice(names)
    if twice is not None:
        raise InputError(f"columns: found {twice!r} twice, expected each once")
    return tuple(names)


def values(name: str, model: Model, logits: Float32, scale: Sequence[float] | None) -> list[Any]:
    """The column `name` for `logits` [n, labels], a list of n: str, float, int, or dict of label to score."""
    if isinstance(model, Scorer):
        found = model.evol_complexities(logits) if name == "evol_complexity" else model.scores(logits, scale)
        return list(found.tolist())
    assert isinstance(model, Classifier)  # the two kinds that there are
    return [getattr(prediction, name) for prediction in model.predictions(logits)]


def error_text(error: Exception) -> str:
    """`error` for the column ERROR: one line, and UTF-8 also where it names a key or a file that is not."""
    return " ".join(str(error).split()).encode("utf-8", "backslashreplace").decode("utf-8")
