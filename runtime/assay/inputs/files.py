"""Reads texts or pairs from a file, for the command line and for export's calibration: .jsonl, .csv, .tsv, .txt.

A malformed line is an InputError with file, line and field. Nothing is skipped, so that row n of the answer is row n of
the file. Files are UTF-8, with or without a byte order mark.

- .jsonl, .ndjson, standard input ("-"): an object per line with "text" and, for pairs, "text_pair"; others are ignored.
- .csv, .tsv: a header line with these columns; other columns are ignored.
- .txt: one text per line, empty lines being empty texts. For single texts only.
"""

import csv
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from assay.errors import InputError
from assay.inputs.validation import MAX_CHARACTERS, Kind, Row, check_row, describe

__all__ = ["read_rows"]

_FIELDS: dict[Kind, tuple[str, ...]] = {"text": ("text",), "pair": ("text", "text_pair")}
_JSON_LINES = (".jsonl", ".ndjson")
_DELIMITERS = {".csv": ",", ".tsv": "\t"}


def read_rows(path: str | os.PathLike[str], kind: Kind) -> list[Row]:
    """The rows of the file at `path`, "-" being standard input.

    Raises InputError where the file cannot be read, its suffix is not known, or a line is not a row of `kind`.
    """
    name = os.fspath(path)
    if name == "-":
        return _collect(_json_rows(_decoded(sys.stdin.buffer, "standard input"), "standard input", kind), kind)
    suffix = Path(name).suffix.lower()
    if suffix not in (*_JSON_LINES, *_DELIMITERS, ".txt"):
        raise InputError(f"{name}: ends in {suffix!r}, expected .jsonl, .csv, .tsv or .txt, or - for standard input")
    if suffix == ".txt" and kind == "pair":
        raise InputError(
            f"{name}: a .txt file holds single texts, this bundle reads pairs; give a .jsonl, .csv or .tsv"
        )
    try:
        with Path(name).open("rb") as file:
            lines = _decoded(file, name)
            if suffix in _JSON_LINES:
                return _collect(_json_rows(lines, name, kind), kind)
            if suffix in _DELIMITERS:
                return _collect(_table_rows(lines, name, kind, _DELIMITERS[suffix]), kind)
            return _collect(((f"{name}, line {number}", _stripped(line)) for number, line in lines), kind)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name}: cannot be read ({error}); check the path and its permissions") from error


def _collect(located: Iterable[tuple[str, object]], kind: Kind) -> list[Row]:
    return [check_row(row, kind, where, index) for index, (where, row) in enumerate(located)]


def _decoded(file: BinaryIO, name: str) -> Iterator[tuple[int, str]]:
    """Line numbers, from 1, and lines with their ends. Only \\n ends a line; the others of str.splitlines are text."""
    for number, line in enumerate(file, start=1):
        try:
            yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{name}, line {number}: byte 0x{line[error.start]:02x} at {error.start} is not UTF-8; "
                "convert the file to UTF-8"
            ) from None


def _stripped(line: str) -> str:
    return line.removesuffix("\n").removesuffix("\r")


def _json_rows(lines: Iterable[tuple[int, str]], name: str, kind: Kind) -> Iterator[tuple[str, object]]:
    fields = _FIELDS[kind]
    for number, line in lines:
        where = f"{name}, line {number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            found = "an empty line" if not line.strip() else f"no JSON ({error})"
            raise InputError(f"{where}: found {found}, expected an object with {' and '.join(fields)}") from None
        if not isinstance(value, dict):
            raise InputError(f"{where}: found {describe(value)}, expected an object with {' and '.join(fields)}")
        missing = [field for field in fields if field not in value]
        if missing:
            raise InputError(f'{where}: field "{missing[0]}" is missing, expected {" and ".join(fields)}')
        # One text read out of a pair would be an answer to another question.
        if kind == "text" and value.get("text_pair") is not None:
            raise InputError(f'{where}: field "text_pair" is there, expected text alone: this bundle reads one text')
        yield where, tuple(value[field] for field in fields) if kind == "pair" else value["text"]


def _table_rows(
    lines: Iterable[tuple[int, str]], name: str, kind: Kind, delimiter: str
) -> Iterator[tuple[str, object]]:
    # The module's limit of 131,072 characters is for the whole process and only ever raised here.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_CHARACTERS + 1))
    reader = csv.reader((line for _, line in lines), delimiter=delimiter, strict=True)
    fields = _FIELDS[kind]
    header: list[str] | None = None
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            raise InputError(f"{name}, line {reader.line_num}: {error}; quote cells as CSV does") from None
        where = f"{name}, line {reader.line_num}"
        if header is None:
            header = _header(cells, fields, where)
            if kind == "text" and "text_pair" in header:
                raise InputError(f"{where}: has a column text_pair, expected text alone: this bundle reads one text")
        elif len(cells) != len(header):
            raise InputError(f"{where}: {len(cells)} cells, expected {len(header)} as in the header")
        else:
            row = tuple(cells[header.index(field)] for field in fields)
            yield where, row if kind == "pair" else row[0]
    if header is None:
        raise InputError(f"{name}: is empty, expected a header line with {' and '.join(fields)}")


def _header(cells: list[str], fields: tuple[str, ...], where: str) -> list[str]:
    for field in fields:
        if cells.count(field) != 1:
            found = f"{cells.count(field)} columns named {field}"
            raise InputError(f"{where}: found {found} in the header, expected one each of {', '.join(fields)}")
    return cells
