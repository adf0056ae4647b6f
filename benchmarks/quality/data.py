"""Reads labelled rows. A bad row is kept with its line and the reason.

`read_rows` refuses a file at its first bad line, because row n of the answers must be row n of the file. Here the
answer is a measure over many rows, so the good rows are used and the bad ones are reported.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.errors import InputError
from assay.inputs.files import Record, read_records
from assay.inputs.files.fields import locate, look_up, read_texts
from assay.inputs.validation import Kind, Row

__all__ = ["BadRow", "BadValueError", "LabelledRow", "read"]


@dataclass(frozen=True)
class LabelledRow:
    """A text or a pair with its correct answer: the index of a label, or a score."""

    line: int  # the first of the row's lines
    row: Row
    label: float


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used, and the reason."""

    line: int
    reason: str


class BadValueError(ValueError):
    """The value of a label cannot be used. The message is a short reason."""


def read(
    path: Path, texts: Sequence[str], label: str, parse: Callable[[Any], float]
) -> tuple[list[LabelledRow], list[BadRow]]:
    """Read the rows of a file.

    Args:
        path: JSON lines, CSV or TSV, plain or compressed.
        texts: The field of the text, or the two fields of a pair; a dotted path such as a.b is field b of field a.
        label: The field of the correct answer.
        parse: Turns the value of that field into the index of a label or a score, or raises BadValueError.

    Returns:
        The good rows and the bad rows, each in the order of the file.

    Raises:
        InputError: The file cannot be read, has an unknown suffix, or its header lacks a field.
    """
    good: list[LabelledRow] = []
    bad: list[BadRow] = []
    for record in read_records(path, (*texts, label)):
        try:
            good.append(_read_row(record, texts, label, parse))
        except BadValueError as error:
            bad.append(BadRow(record.line, str(error)))
        except InputError as error:
            bad.append(BadRow(record.line, str(error).removeprefix(record.where).lstrip(":, ")))
    return good, bad


def _read_row(record: Record, texts: Sequence[str], label: str, parse: Callable[[Any], float]) -> LabelledRow:
    """Check one record. Raises InputError or BadValueError for a bad one."""
    if isinstance(record.value, InputError):
        raise record.value
    kind: Kind = "pair" if len(texts) > 1 else "text"
    row = read_texts(record.value, texts, kind, record.where)
    for text, name in zip((row,) if isinstance(row, str) else row, texts, strict=True):
        if not text.strip():
            raise InputError(f"{locate(record.where, name)}: is empty")
    return LabelledRow(record.line, row, parse(look_up(record.value, label, record.where)))
