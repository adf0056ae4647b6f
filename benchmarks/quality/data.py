"""Reads labelled rows from .jsonl, .csv and .tsv, plain or .gz. A bad row is kept with its line and the reason.

assay.inputs.files refuses a file at its first bad line, because row n of an answer must be row n of the file. Here
the answer is a metric over many rows, so the good ones are used and the bad ones are reported.
"""

import codecs
import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from assay.errors import InputError
from assay.inputs.validation import MAX_CHARACTERS, Row, check_row, check_text, describe

__all__ = ["BadRow", "BadValueError", "LabelledRow", "read"]

JSON_LINES = (".jsonl", ".ndjson")
DELIMITERS = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True)
class LabelledRow:
    """A text or a pair with its right answer: the index of a label, or a score. `line` is the first of its lines."""

    line: int
    row: Row
    label: float


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used, and why."""

    line: int
    reason: str


class BadValueError(ValueError):
    """Why one row is bad, in a few words."""


def read(
    path: Path, texts: Sequence[str], label: str, parse: Callable[[Any], float]
) -> tuple[list[LabelledRow], list[BadRow]]:
    """The good and the bad rows of the file at `path`, each in the order of the file.

    Args:
        texts: the field of the text, or the two fields of a pair; "a.b" is b within a where no field is called "a.b".
        label: the field of the right answer.
        parse: turns that field's value into a label's index or a score, or raises BadValueError.

    Raises:
        InputError: the file cannot be read, is of another form, or its header lacks a field.
    """
    good: list[LabelledRow] = []
    bad: list[BadRow] = []
    try:
        for line, record in _records(path, (*texts, label)):
            try:
                if isinstance(record, BadValueError):
                    raise record
                row = _row([_field(record, name) for name in texts], texts)
                good.append(LabelledRow(line, row, parse(_field(record, label))))
            except BadValueError as error:
                bad.append(BadRow(line, str(error)))
    except (OSError, EOFError, zlib.error) as error:  # a damaged .gz raises any of the three
        raise InputError(f"{path}: cannot be read ({error}); check the path and its permissions") from error
    return good, bad


Record = Mapping[str, Any] | BadValueError


def _records(path: Path, fields: Sequence[str]) -> Iterator[tuple[int, Record]]:
    """The line of each record, from 1, with its fields or with what is wrong with it."""
    plain = path.name.lower().removesuffix(".gz")
    suffix = Path(plain).suffix
    if suffix not in (*JSON_LINES, *DELIMITERS):
        raise InputError(f"{path}: ends in {suffix!r}, expected .jsonl, .csv or .tsv, or one of these with .gz")
    opener = gzip.open if plain != path.name.lower() else open
    with opener(path, "rb") as opened:
        file = cast(BinaryIO, opened)
        if suffix in JSON_LINES:
            yield from ((line, _json(data)) for line, data in enumerate(_without_mark(file), start=1))
        else:
            yield from _table(file, str(path), DELIMITERS[suffix], fields)


def _without_mark(file: BinaryIO) -> Iterator[bytes]:
    """Lines with their ends, without the byte order mark that some editors put before the first."""
    for number, line in enumerate(file):
        yield line if number else line.removeprefix(codecs.BOM_UTF8)


def _json(line: bytes) -> Record:
    try:
        text = line.decode("utf-8")
        value = json.loads(text)
    except UnicodeDecodeError as error:
        return BadValueError(f"byte 0x{line[error.start]:02x} at {error.start} is not UTF-8")
    except (ValueError, RecursionError) as error:
        return BadValueError(f"is not JSON ({error})" if line.strip() else "is an empty line")
    return value if isinstance(value, dict) else BadValueError(f"holds {describe(value)}, expected an object")


def _table(file: BinaryIO, name: str, delimiter: str, fields: Sequence[str]) -> Iterator[tuple[int, Record]]:
    # The module's limit of 131,072 characters is for the whole process and only ever raised here.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_CHARACTERS + 1))
    # A byte that is not UTF-8 must spoil its own row only: it travels as a lone surrogate and is found in the cells.
    lines = (line.decode("utf-8", "surrogateescape") for line in _without_mark(file))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    header: list[str] | None = None
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            # After it the reader goes on with the next line; an open quote may have taken many with it.
            through = f"lines {line:,} to {reader.line_num:,}: " if reader.line_num > line else ""
            if header is None:
                raise InputError(f"{name}, line {line}: {error}; quote cells as CSV does") from None
            yield line, BadValueError(f"{through}{error}")
            continue
        if header is None:
            header = cells
            for field in fields:
                if header.count(field) != 1:
                    found = f"{header.count(field)} columns named {field!r}"
                    raise InputError(f"{name}: found {found}, expected one; its columns are {', '.join(header)}")
        elif len(cells) != len(header):
            found = f"has {len(cells)} cells, expected {len(header)} as in the header"
            yield line, BadValueError(found if cells else "is an empty line")
        else:
            yield line, _decoded(dict(zip(header, cells, strict=True)), fields)
    if header is None:
        raise InputError(f"{name}: is empty, expected a header line with {', '.join(fields)}")


def _decoded(cells: dict[str, str], fields: Sequence[str]) -> Record:
    for field in fields:
        try:
            cells[field].encode("utf-8")
        except UnicodeEncodeError:
            return BadValueError(f'field "{field}" is not UTF-8')
    return cells


def _field(record: Mapping[str, Any], name: str) -> Any:
    """The value of the field `name`: its own key, or else the path of keys and list indices between its dots."""
    if name in record:
        return record[name]
    value: Any = record
    for part in name.split("."):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isascii() and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            raise BadValueError(f'field "{name}" is missing')
    return value


def _row(values: Sequence[Any], names: Sequence[str]) -> Row:
    try:
        checked = [check_text(value, f'field "{name}"') for value, name in zip(values, names, strict=True)]
        for text, name in zip(checked, names, strict=True):
            if not text.strip():
                raise BadValueError(f'field "{name}" is empty')
        return checked[0] if len(checked) == 1 else check_row(tuple(checked), "pair", "the row", None)
    except InputError as error:
        raise BadValueError(str(error)) from None
