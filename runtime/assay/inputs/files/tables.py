"""CSV and TSV: records under a header line.

Where cells may be quoted, the dialect is that of Python's csv module with strict=True: cells in double quotes, which
are doubled inside a cell. A record may span several lines. Where quotes are text, every line is a record and every
delimiter ends a cell.
"""

import codecs
import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from assay.errors import InputError
from assay.inputs.files.fields import list_columns, locate
from assay.inputs.files.lines import Lines, decode_line
from assay.inputs.files.quoting import Quoting, refuse_unknown
from assay.inputs.validation import MAX_CHARACTERS, first_twice

__all__ = ["DELIMITERS", "QuotingError", "TableReader", "TableRow"]

DELIMITERS = {"csv": ",", "tsv": "\t"}


class QuotingError(InputError):
    """The quotes of a record are wrong, so nobody can say where the next record starts."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """A record.

    Attributes:
        line: The number of its first line, from 1.
        where: What errors call it.
        cells: As many as the header has; cut or filled with "" where there were more or fewer.
        raw: Its text with its end, or None where the cells were cut or filled.
        error: Why it cannot be used, if so.
    """

    line: int
    where: str
    cells: list[str]
    raw: str | None
    error: InputError | None


class TableReader:
    """The records of a table.

    Attributes:
        header: The names of the columns as they stand in the file. Spreadsheets leave columns without a name.
        names: The same with "column_N" for the Nth column if it has no name, so that all differ.
        header_text: The header as it stands in the file, with its line end.
        marked: Whether the file starts with a byte order mark, by which spreadsheets know UTF-8.
    """

    def __init__(self, lines: Lines, delimiter: str, fields: Sequence[str], quoting: Quoting | None) -> None:
        """Read the header.

        Args:
            lines: The lines of the file.
            delimiter: What separates cells.
            fields: The names of columns that must be there.
            quoting: Whether quotes are text or quote cells. If None, a cell that starts with a quote is an error.

        Raises:
            InputError: The header has a column twice, or lacks one of `fields`.
        """
        # The module's limit of 131,072 characters is for the whole process and only ever raised here.
        csv.field_size_limit(max(csv.field_size_limit(), MAX_CHARACTERS + 1))
        self._lines = lines
        self._raw: list[str] = []
        self._error: InputError | None = None
        self.marked = False
        self._records: Iterator[list[str]]
        if quoting == "minimal":
            self._records = csv.reader(self._texts(), delimiter=delimiter, strict=True)
        else:
            self._records = self._split_lines(delimiter, unknown=quoting is None)
        header = self._next_cells()
        if header is None:
            raise InputError(f"{lines.name}: is empty, expected a header line with {' and '.join(fields)}")
        if self._error is not None:
            raise self._error
        self.header = header
        self.names = [name or f"column_{number}" for number, name in enumerate(header, 1)] if header != [""] else []
        self.header_text = self._take_text()
        _check_header(self.names, fields, f"{lines.name}, line 1")

    def next(self) -> TableRow | None:
        """Return the next record, or None after the last.

        Raises:
            QuotingError: The quotes are wrong. Another call starts a record at the next line.
        """
        line, self._error = self._lines.number + 1, None
        cells = self._next_cells()
        if cells is None:
            return None
        raw, where = self._take_text(), f"{self._lines.name}, line {line}"
        count = len(self.header)
        if len(cells) == count:
            return TableRow(line, where, cells, raw, self._error)
        error = self._error or _miscounted(cells, count, where)
        return TableRow(line, where, (cells + [""] * count)[:count], None, error)

    def _texts(self) -> Iterator[str]:
        """The lines, as csv.reader asks for them: never more than the record that it reads."""
        while (line := self._lines.next()) is not None:
            first = self._lines.number == 1
            try:
                text = decode_line(line, self._lines.where, first)
            except InputError as error:
                self._error = self._error or error
                text = line.decode("utf-8-sig" if first else "utf-8", "backslashreplace")
            self.marked = self.marked or (first and line.startswith(codecs.BOM_UTF8))
            self._raw.append(text)
            yield text

    def _split_lines(self, delimiter: str, unknown: bool) -> Iterator[list[str]]:
        for text in self._texts():
            body = text.removesuffix("\n").removesuffix("\r")
            cells = body.split(delimiter) if body else []
            if unknown and any(cell.startswith('"') for cell in cells):
                raise refuse_unknown(self._lines.where)
            yield cells

    def _next_cells(self) -> list[str] | None:
        line = self._lines.number + 1
        try:
            return next(self._records, None)
        except csv.Error as error:
            self._raw.clear()
            through = f" (read up to line {self._lines.number})" if self._lines.number > line else ""
            raise QuotingError(
                f"{self._lines.name}, line {line}: {error}{through}; quote cells as CSV does, "
                "or pass --quoting none if quotes are text"
            ) from None

    def _take_text(self) -> str:
        text = "".join(self._raw)
        self._raw.clear()
        return text


def _miscounted(cells: list[str], count: int, where: str) -> InputError:
    found = f"found {len(cells)} {'cell' if len(cells) == 1 else 'cells'}"
    surplus = f"; the last are {json.dumps(cells[count:], ensure_ascii=False):.400}" if cells[count:] else ""
    return InputError(f"{where}: {found}, expected {count} as in the header{surplus}")


def _check_header(header: list[str], fields: Sequence[str], where: str) -> None:
    twice = first_twice(header)
    if twice is not None:
        raise InputError(f"{where}: found {header.count(twice)} columns named {twice!r:.100}, expected each name once")
    for name in fields:
        if name not in header:
            raise InputError(f"{locate(where, name)}: is missing, found {list_columns(header)}")
