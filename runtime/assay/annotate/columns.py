"""The new columns: which there are, and their values from a window's logits. Nothing here knows a file format."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from assay.classifier import Classifier
from assay.errors import AssayError, InputError
from assay.manifest import Manifest
from assay.model import Float32, Model
from assay.scorer import Scorer

__all__ = ["ERROR", "NAMES", "Answers", "Column", "Columns", "check_columns", "choose_columns"]

NAMES = ("label", "score", "scores", "evol_complexity")
ERROR = "error"

Value = str | float | int | Mapping[str, float]
Answers = Sequence[tuple[Value | None, ...]]
"""A window's new values, a tuple per row in the order of Columns.all; None for what a failed row has not."""


class Column(NamedTuple):
    """A new column. One of kind "scores" holds a probability for each of `labels`."""

    name: str
    kind: Literal["text", "number", "integer", "scores"]
    labels: tuple[str, ...] = ()


_KINDS: dict[str, Literal["text", "number", "integer", "scores"]] = {
    "label": "text",
    "score": "number",
    "scores": "scores",
    "evol_complexity": "integer",
}


@dataclass(frozen=True, slots=True)
class Columns:
    """The `answers` asked for, and with `errors` one more that says why a row has none."""

    answers: tuple[Column, ...]
    scale: tuple[float, float] | None
    errors: bool

    @property
    def all(self) -> tuple[Column, ...]:
        """The new columns in the order in which they are written."""
        return (*self.answers, Column(ERROR, "text")) if self.errors else self.answers

    def taken(self, present: Sequence[str] | Mapping[str, object]) -> str | None:
        """The first new column whose name is `present` already, if any."""
        return next((column.name for column in self.all if column.name in present), None)

    def of(self, model: Model, logits: Float32, errors: Mapping[int, AssayError]) -> Answers:
        """What `logits` [n, labels] mean; rows with an entry in `errors` get None and the error."""
        good = [row for row in range(len(logits)) if row not in errors]
        values = [_values(column, model, logits[good], self.scale) for column in self.answers]
        tail: tuple[Value | None, ...] = (None,) if self.errors else ()
        answers = dict(zip(good, ((*row, *tail) for row in zip(*values, strict=True)), strict=True))
        nothing = (None,) * len(self.answers)
        return [
            (*nothing, " ".join(str(errors[row]).split())) if row in errors else answers[row]
            for row in range(len(logits))
        ]


def choose_columns(manifest: Manifest, names: Sequence[str] | None) -> tuple[Column, ...]:
    """The columns `names`, by default all that `check_columns` lets a bundle answer without being asked."""
    chosen = names if names is not None else (("label", "score") if manifest.task == "classification" else ("score",))
    check_columns(manifest, chosen)
    return tuple(Column(name, _KINDS[name], manifest.labels if _KINDS[name] == "scores" else ()) for name in chosen)


def check_columns(manifest: Manifest, names: Sequence[str]) -> None:
    """Raise InputError unless the bundle answers each of `names`, and each is there once."""
    if manifest.task == "classification":
        possible = ["label", "score", "scores"]
    else:
        possible = ["score"] if manifest.scale is None else ["score", "evol_complexity"]
    wrong = next((name for name in names if name not in possible), None)
    if wrong is not None or not names:
        found = "none" if wrong is None else repr(wrong)
        raise InputError(f"columns: found {found}, expected of this {manifest.task} bundle {', '.join(possible)}")
    twice = next((name for name in names if list(names).count(name) > 1), None)
    if twice is not None:
        raise InputError(f"columns: found {twice!r} twice, expected each once")


def _values(
    column: Column, model: Model, logits: Float32, scale: tuple[float, float] | None
) -> list[str] | list[float] | list[int] | list[dict[str, float]]:
    if isinstance(model, Scorer):
        if column.name == "evol_complexity":
            complexities: list[int] = model.evol_complexities(logits).tolist()
            return complexities
        scores: list[float] = model.scores(logits, scale).tolist()
        return scores
    assert isinstance(model, Classifier)  # the two kinds that there are
    predictions = model.predictions(logits)
    if column.name == "label":
        return [prediction.label for prediction in predictions]
    if column.name == "score":
        return [prediction.score for prediction in predictions]
    return [prediction.scores for prediction in predictions]
