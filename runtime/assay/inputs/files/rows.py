"""Reads texts or pairs from a file, and records of any fields.

`read_rows` and `read_windows` read the fields "text" and, for pairs, "text_pair". A malformed line is an InputError
that names the file, the line and the field. Nothing is skipped: row n of the answer is row n of the file.
`read_records` reads records of any fields and returns what is wrong with a record in its place.

- .jsonl, .ndjson: an object per line. Other fields are ignored.
- .csv, .tsv: a header line, then a record per row. Other columns are ignored. See assay.inputs.files.quoting.
- .txt: a text per line; an empty line is an empty text. Only for single texts.

Each may be compressed (.gz, .zst). Standard input ("-") has JSON lines unless `format` says otherwise. Files are UTF-8,
with or without a byte order mark. Blank lines at the end of a file are no rows, except in .txt.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from assay.errors import InputError
from assay.inputs.files.fields import locate, read_texts
from assay.inputs.files.json_lines import parse_line
from assay.inputs.files.lines import Lines, decode_line
from assay.inputs.files.names import BLANK, FileKind, check_standard, parse_name
from assay.inputs.files.quoting import Quoting, check_quoting, choose_quoting
from assay.inputs.files.tables import DELIMITERS, QuotingError, TableReader
from assay.inputs.validation import Kind, Row, check_row

__all__ = ["FIELDS", "Located", "Record", "read_records", "read_rows", "read_windows"]

FIELDS: dict[Kind, tuple[str, ...]] = {"text": ("text",), "pair": ("text", "text_pair")}
"""The fields that make a row, unless a caller names others."""

_KINDS: dict[Kind, tuple[FileKind, ...]] = {
    "text": ("jsonl", "csv", "tsv", "txt"),
    "pair": ("jsonl", "csv", "tsv"),
}
_RECORD_KINDS: tuple[FileKind, ...] = ("jsonl", "csv", "tsv")


@dataclass(frozen=True, slots=True)
class Located:
    """A row and what errors call it: "FILE, line N"."""

    where: str
    row: Row


@dataclass(frozen=True, slots=True)
class Record:
    """A record of a file.

    Attributes:
        line: The number of its first line, from 1.
        where: What errors call it: "FILE, line N".
        value: Its fields (in a table each a str), or why it cannot be read. The error's message starts with `where`.
    """

    line: int
    where: str
    value: dict[str, Any] | InputError


def read_rows(path: str | os.PathLike[str], kind: Kind, *, format: object = None, quoting: object = None) -> list[Row]:
    """Return the rows of the file at `path`.

    Args:
        path: The file; "-" is standard input.
        kind: Whether a row is a text or a pair.
        format: The format of standard input: "jsonl" (the default), "csv", "tsv" or "txt".
        quoting: Whether quotes in a table are text, "none", or quote cells, "minimal". By default a CSV file quotes
            cells, and a TSV file if its quotes are consistent.

    Raises:
        InputError: The file cannot be read, its suffix is unknown, or a line is not a row of `kind`.
    """
    with _open(path, kind, format, quoting) as rows:
        return [located.row for located in rows]


def read_windows(
    path: str | os.PathLike[str], kind: Kind, most: int, *, format: object = None, quoting: object = None
) -> Iterator[list[Located]]:
    """Yield the rows of the file at `path` in windows of 1 to `most`, as they arrive on standard input.

    A window ends early rather than wait for a row that was not written yet.

    Raises:
        InputError: As `read_rows`, after the rows before the malformed one were yielded.
    """
    window: list[Located] = []
    with _open(path, kind, format, quoting) as rows:
        try:
            for located in rows:
                window.append(located)
                if len(window) == most or not rows.lines.ready:
                    yield window
                    window = []
        except InputError:
            if window:
                yield window
            raise
    if window:
        yield window


def read_records(
    path: str | os.PathLike[str], fields: Sequence[str], *, format: object = None, quoting: object = None
) -> Iterator[Record]:
    """Yield the records of a .jsonl, .ndjson, .csv or .tsv file, with an error in the place of one that is malformed.

    Args:
        path: The file, or "-" for standard input.
        fields: The columns that the header of a table must have. The objects of JSON lines are not checked: see
            assay.inputs.files.fields.look_up.
        format: As in `read_rows`, except "txt".
        quoting: As in `read_rows`.

    Raises:
        InputError: The file cannot be read, its suffix is unknown, or its header has a column twice or lacks a field.
    """
    name = os.fspath(path)
    file_format = parse_name(name, _RECORD_KINDS, check_standard(format, _RECORD_KINDS, [name]))
    asked = check_quoting(quoting)
    is_table = file_format.kind in DELIMITERS
    chosen = choose_quoting(name, file_format, asked) if is_table else None
    with Lines(name, file_format.compression, BLANK[file_format.kind]) as lines:
        if not is_table:
            while (line := lines.next()) is not None:
                yield Record(lines.number, lines.where, parse_line(line, lines.where, lines.number == 1).document)
        else:
            yield from _table_records(lines, TableReader(lines, DELIMITERS[file_format.kind], fields, chosen))


def _table_records(lines: Lines, table: TableReader) -> Iterator[Record]:
    while True:
        number = lines.number + 1
        try:
            record = table.next()
        except QuotingError as error:
            yield Record(number, f"{lines.name}, line {number}", error)
            continue
        if record is None:
            return
        yield Record(number, record.where, record.error or dict(zip(table.names, record.cells, strict=True)))


class _Rows:
    """The rows of an open file, for one iteration."""

    def __init__(self, lines: Lines, kind: Kind, file_kind: FileKind, quoting: Quoting | None) -> None:
        self.lines = lines
        self._kind: Kind = kind
        self._file_kind = file_kind
        self._quoting = quoting

    def __enter__(self) -> "_Rows":
        return self

    def __exit__(self, *exception: object) -> None:
        self.lines.close()

    def __iter__(self) -> Iterator[Located]:
        read = {"jsonl": self._objects, "txt": self._texts}.get(self._file_kind, self._cells)
        for index, (where, row) in enumerate(read()):
            yield Located(where, check_row(row, self._kind, where, index))

    def _texts(self) -> Iterator[tuple[str, Row]]:
        while (line := self.lines.next()) is not None:
            text = decode_line(line, self.lines.where, self.lines.number == 1)
            yield self.lines.where, text.removesuffix("\n").removesuffix("\r")

    def _objects(self) -> Iterator[tuple[str, Row]]:
        while (line := self.lines.next()) is not None:
            where = self.lines.where
            document = parse_line(line, where, self.lines.number == 1).document
            if isinstance(document, InputError):
                raise document
            # One text of a pair would be an answer to another question.
            if self._kind == "text" and document.get("text_pair") is not None:
                raise _pair_found(where)
            yield where, read_texts(document, FIELDS[self._kind], self._kind, where)

    def _cells(self) -> Iterator[tuple[str, Row]]:
        fields = FIELDS[self._kind]
        table = TableReader(self.lines, DELIMITERS[self._file_kind], fields, self._quoting)
        if self._kind == "text" and "text_pair" in table.names:
            raise _pair_found(f"{self.lines.name}, line 1")
        places = [table.names.index(field) for field in fields]
        while (record := table.next()) is not None:
            if record.error is not None:
                raise record.error
            texts = [record.cells[place] for place in places]
            yield record.where, (texts[0], texts[1]) if self._kind == "pair" else texts[0]


def _open(path: str | os.PathLike[str], kind: Kind, format: object, quoting: object) -> _Rows:
    name = os.fspath(path)
    file_format = parse_name(name, _KINDS["text"], check_standard(format, _KINDS["text"], [name]))
    if file_format.kind not in _KINDS[kind]:
        raise InputError(
            f"{name}: a .txt file has single texts, but this bundle reads pairs; use a .jsonl, .csv or .tsv file"
        )
    asked = check_quoting(quoting)
    chosen = choose_quoting(name, file_format, asked) if file_format.kind in DELIMITERS else None
    lines = Lines(name, file_format.compression, BLANK[file_format.kind])
    return _Rows(lines, kind, file_format.kind, chosen)


def _pair_found(where: str) -> InputError:
    return InputError(
        f"{locate(where, 'text_pair')}: is there, but this bundle reads single texts; remove it, "
        "or use a bundle of pairs"
    )
