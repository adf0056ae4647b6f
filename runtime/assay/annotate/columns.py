"""The new columns: which there are, and their values from a window's logits. Nothing here knows a file format."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from assay.bundle.manifest import Manifest
from assay.errors import AssayError
from assay.models import columns
from assay.models.base import Float32, Model
from assay.models.columns import ERROR

__all__ = ["Answers", "Column", "Columns", "choose_columns"]

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
        values = [columns.values(column.name, model, logits[good], self.scale) for column in self.answers]
        tail: tuple[Value | None, ...] = (None,) if self.errors else ()
        answers = dict(zip(good, ((*row, *tail) for row in zip(*values, strict=True)), strict=True))
        nothing = (None,) * len(self.answers)
        return [
            (*nothing, columns.error_text(errors[row])) if row in errors else answers[row] for row in range(len(logits))
        ]


def choose_columns(manifest: Manifest, names: Sequence[str] | None) -> tuple[Column, ...]:
    """The columns `names`, by default those of columns.chosen, which says what it raises."""
    return tuple(
        Column(name, _KINDS[name], manifest.labels if _KINDS[name] == "scores" else ())
        for name in columns.chosen(manifest, names)
    )
