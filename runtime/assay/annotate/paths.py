"""Finds the texts of a row: a field by its name, or by a dotted path such as messages.0.content."""

from collections.abc import Sequence

from assay.errors import InputError
from assay.inputs.validation import Kind, Row, check_row, check_text, describe

__all__ = ["located", "lookup", "named_columns", "texts_of"]


def located(where: str, field: str) -> str:
    """How errors name a field of a row."""
    return f'{where}, field "{field}"'


def named_columns(names: Sequence[str]) -> str:
    """The columns of a file, for an error."""
    return f"the columns {', '.join(names)[:400]}" if any(names) else "no columns"


def texts_of(document: object, fields: Sequence[str], kind: Kind, where: str) -> Row:
    """The row that `document` (an object, a table's row as a dict) asks: the text at each of `fields`.

    Raises InputError that names the field which is missing or is no text.
    """
    texts = [check_text(lookup(document, field, where), located(where, field)) for field in fields]
    return check_row(tuple(texts), kind, where, None) if kind == "pair" else texts[0]


def lookup(document: object, path: str, where: str) -> object:
    """The value at `path`: keys of objects and numbers of list items (from 0), joined by dots.

    At every step a key that is all of the rest wins, so that a field whose name has dots is found by its name.
    Raises InputError where there is none.
    """
    value, rest = document, path
    while True:
        if isinstance(value, dict):
            if rest in value:
                return value[rest]
            step, dot, rest = rest.partition(".")
            if step not in value:
                raise InputError(f"{located(where, path)}: is missing, found {_names(value)}")
            value = value[step]
        elif isinstance(value, list):
            step, dot, rest = rest.partition(".")
            if not (step.isascii() and step.isdigit() and len(step) < 10 and int(step) < len(value)):
                raise InputError(f"{located(where, path)}: is missing, found a list of {len(value):,} before .{step}")
            value = value[int(step)]
        else:
            raise InputError(f"{located(where, path)}: is missing, found {describe(value)} before .{rest}")
        if not dot:
            return value


def _names(value: dict[str, object], most: int = 8) -> str:
    """The keys of an object, for an error: a few, and each cut."""
    if not value:
        return "an empty object"
    names = [str(name)[:40] for name in list(value)[:most]]
    return f"{', '.join(names)}{' and others' if len(value) > most else ''}"
