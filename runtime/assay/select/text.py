"""JSON lines, CSV and TSV: the score and the group of each row, and the bytes of the rows chosen."""

import codecs
import json
import re
from collections.abc import Container, Iterator
from typing import BinaryIO

from assay.errors import InputError
from assay.inputs.files.fields import locate
from assay.inputs.files.json_lines import parse_line
from assay.inputs.files.lines import Lines
from assay.inputs.files.names import BLANK, Format
from assay.inputs.files.quoting import Quoting
from assay.inputs.files.tables import DELIMITERS, TableReader, TableRow
from assay.select.ranking import read_key, read_score
from assay.select.rows import Key

__all__ = ["JsonRows", "TableRows"]

_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)


class JsonRows:
    """The rows of an input of one JSON object per line, which is at `path` and called `name` in errors."""

    def __init__(self, path: str, name: str, format: Format, by: str, group: str | None) -> None:
        self._path = path
        self._name = name
        self._format = format
        self._by = by
        self._group = group

    def keys(self) -> Iterator[Key | InputError]:
        """Yield the score and the group of each row, or why it has none."""
        with self._open() as lines:
            while (line := lines.next()) is not None:
                yield self._read_key(line, lines)

    def copy(self, chosen: Container[int], out: BinaryIO) -> None:
        """Write the rows whose numbers, from 0, are among `chosen`."""
        with self._open() as lines:
            while (line := lines.next()) is not None:
                if lines.number - 1 in chosen:
                    line = line.removeprefix(codecs.BOM_UTF8) if lines.number == 1 else line
                    out.write(line if line.endswith(b"\n") else line + b"\n")

    def _open(self) -> Lines:
        lines = Lines(self._path, self._format.compression, BLANK[self._format.kind])
        lines.name = self._name
        return lines

    def _read_key(self, line: bytes, lines: Lines) -> Key | InputError:
        where = lines.where
        try:
            document = parse_line(line, where, lines.number == 1).document
        except InputError as error:
            return error
        if isinstance(document, InputError):
            return document
        return read_key(document, self._by, self._group, where)


class TableRows:
    """The rows of a CSV or TSV input with a header line, which is at `path` and called `name` in errors."""

    def __init__(
        self, path: str, name: str, format: Format, quoting: Quoting | None, by: str, group: str | None
    ) -> None:
        self._path = path
        self._name = name
        self._format = format
        self._quoting = quoting
        self._by = by
        self._group = group

    def keys(self) -> Iterator[Key | InputError]:
        """Yield the score and the group of each row, or why it has none.

        Raises:
            InputError: The header lacks a column, or quotes are wrong, so that no row follows.
        """
        with self._open() as lines:
            table = self._read_header(lines)
            by = table.names.index(self._by)
            group = None if self._group is None else table.names.index(self._group)
            while (record := table.next()) is not None:
                yield self._read_key(record, by, group)

    def copy(self, chosen: Container[int], out: BinaryIO) -> None:
        """Write the header and the rows whose numbers, from 0, are among `chosen`."""
        with self._open() as lines:
            table = self._read_header(lines)
            out.write(_end(("\ufeff" if table.marked else "") + table.header_text))
            row = 0
            while (record := table.next()) is not None:
                if row in chosen and record.raw is not None:
                    out.write(_end(record.raw))
                row += 1

    def _open(self) -> Lines:
        lines = Lines(self._path, self._format.compression, BLANK[self._format.kind])
        lines.name = self._name
        return lines

    def _read_header(self, lines: Lines) -> TableReader:
        fields = [self._by] if self._group is None else [self._by, self._group]
        return TableReader(lines, DELIMITERS[self._format.kind], fields, self._quoting)

    def _read_key(self, record: TableRow, by: int, group: int | None) -> Key | InputError:
        if record.error is not None:
            return record.error
        cell, at = record.cells[by], locate(record.where, self._by)
        try:
            if not _NUMBER.fullmatch(cell):
                # "nan" and "inf" are told as such, everything else as the text that it is.
                special = cell.strip().lower().lstrip("+-") in ("nan", "inf", "infinity")
                found = cell.strip() if special else json.dumps(cell[:80], ensure_ascii=False)
                raise InputError(f"{at}: found {found}, expected a finite number to rank the row by")
            score = read_score(float(cell), at)
        except InputError as error:
            return error
        return Key(score, None if group is None else (False, record.cells[group]), record.where)


def _end(text: str) -> bytes:
    """Return a row in UTF-8 with a line end, which the last one may lack."""
    return (text if text.endswith("\n") else text + "\n").encode("utf-8")
