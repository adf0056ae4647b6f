"""Finds the texts of a record: a field by its name, or by a dotted path such as messages.0.content."""

from collections.abc import Sequence

from assay.errors import InputError
from assay.inputs.validation import Kind, Row, check_row, check_text, describe

__all__ = ["list_columns", "locate", "look_up", "read_texts", "show_name"]


def locate(where: str, field: str) -> str:
    """Return how errors name the field of a record."""
    return f'{where}, field "{show_name(field)}"'


def show_name(name: str) -> str:
    """Return a name that a file or a user chose as it stands in an error: on one line, and not too long."""
    return (name if name.isprintable() else repr(name)[1:-1])[:100]


def list_columns(names: Sequence[str]) -> str:
    """Return the columns of a file as a phrase for an error message."""
    return f"the columns {', '.join(map(show_name, names))[:400]}" if any(names) else "no columns"


def read_texts(document: object, fields: Sequence[str], kind: Kind, where: str) -> Row:
    """Return the text, or the pair of texts, at `fields` of a record.

    Args:
        document: A JSON object, or a table's row as a dict.
        fields: One name or dotted path for a text, two for a pair.
        kind: Whether a row is a text or a pair.
        where: What errors call the record.

    Raises:
        InputError: A field is missing or is not a text.
    """
    texts = [check_text(look_up(document, field, where), locate(where, field)) for field in fields]
    return check_row(tuple(texts), kind, where, None) if kind == "pair" else texts[0]


def look_up(document: object, path: str, where: str) -> object:
    """Return the value at `path`: keys of objects and numbers of list items (from 0), joined by dots.

    At every step a key that equals the whole rest of the path wins, so a field whose name has dots is found by its
    name.

    Raises:
        InputError: There is no such field.
    """
    value, rest = document, path
    while True:
        if isinstance(value, dict):
            if rest in value:
                return value[rest]
            step, dot, rest = rest.partition(".")
            if step not in value:
                raise InputError(f"{locate(where, path)}: is missing, found {_list_keys(value)}")
            value = value[step]
        elif isinstance(value, list):
            step, dot, rest = rest.partition(".")
            if not (step.isascii() and step.isdigit() and len(step) < 10 and int(step) < len(value)):
                raise InputError(
                    f"{locate(where, path)}: is missing, found a list of {len(value):,} before .{show_name(step)}"
                )
            value = value[int(step)]
        else:
            raise InputError(f"{locate(where, path)}: is missing, found {describe(value)} before .{show_name(rest)}")
        if not dot:
            return value


def _list_keys(value: dict[str, object], most: int = 8) -> str:
    """The keys of an object, for an error: a few, and each cut."""
    if not value:
        return "an empty object"
    names = [show_name(str(name))[:40] for name in list(value)[:most]]
    return f"{', '.join(names)}{' and others' if len(value) > most else ''}"
