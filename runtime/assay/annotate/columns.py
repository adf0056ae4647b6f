"""The new columns: which there are, and their values in a window. No file format is known here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from assay.bundle.manifest import Manifest
from assay.errors import AssayError
from assay.models import columns
from assay.models.base import Model
from assay.models.columns import ERROR
from assay.models.streams.streaming import Answered

__all__ = ["Answers", "Column", "Columns", "choose_columns"]

Value = str | float | int | Sequence[str] | Mapping[str, float]
Kind = Literal["text", "texts", "number", "integer", "scores"]
Answers = Sequence[tuple[Value | None, ...]]
"""The new values of a window: a tuple per row in the order of Columns.all, None for what a failed row lacks."""


class Column(NamedTuple):
    """A new column. One of kind "scores" has a probability for each of `labels`; one of kind "texts" has lists."""

    name: str
    kind: Kind
    labels: tuple[str, ...] = ()


_KINDS: dict[str, Kind] = {
    "label": "text",
    "labels": "texts",
    "score": "number",
    "scores": "scores",
    "evol_complexity": "integer",
}


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that a run adds.

    Attributes:
        answers: The model's answers.
        scale: (min, max) that scores are rescaled to.
        errors: Whether one more column says why a row has no answer.
        threshold: The threshold of each label of a multi-label bundle.
    """

    answers: tuple[Column, ...]
    scale: tuple[float, float] | None
    errors: bool
    threshold: Mapping[str, float] | None = None

    @property
    def all(self) -> tuple[Column, ...]:
        """The new columns in the order in which they are written."""
        return (*self.answers, Column(ERROR, "text")) if self.errors else self.answers

    def find_present(self, names: Sequence[str] | Mapping[str, object]) -> str | None:
        """Return the first new column that is among `names` already, if any."""
        return next((column.name for column in self.all if column.name in names), None)

    def tabulate(self, model: Model, answered: Answered, errors: Mapping[int, AssayError]) -> Answers:
        """Return the new values of a window; `errors` are its errors as the error column tells them."""
        names = [column.name for column in self.answers]
        table = columns.tabulate(names, model, answered, self.scale, self.threshold, errors if self.errors else None)
        return list(zip(*(table[column.name] for column in self.all), strict=True))


def choose_columns(manifest: Manifest, names: Sequence[str] | None) -> tuple[Column, ...]:
    """Return the columns `names`. Defaults and errors are those of assay.models.columns.choose."""
    return tuple(
        Column(name, _KINDS[name], manifest.labels if _KINDS[name] == "scores" else ())
        for name in columns.choose(manifest, names)
    )
