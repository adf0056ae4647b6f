"""CSV and TSV in and out. A row keeps its own bytes, quotes included: the new cells are put behind its last one.

The dialect is that of Python's csv module with strict=True: cells in double quotes, doubled where they are meant. A
record may go over several lines. Where its quotes are wrong nobody can say where the next one starts, so that is an
error also with --on-error null.
"""

import codecs
import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.annotate.columns import Answers, Columns
from assay.annotate.json_lines import dumped, members
from assay.annotate.lines import Lines, decoded
from assay.annotate.paths import located, named_columns
from assay.annotate.shards import Shard
from assay.annotate.windows import State, Window, WindowBuilder
from assay.errors import AssayError, InputError
from assay.inputs.validation import MAX_CHARACTERS, Kind, Row, check_row, check_text, first_twice

__all__ = ["DELIMITERS", "Record", "TableSource", "encode_records", "encode_records_as_lines", "header_line"]

DELIMITERS = {"csv": ",", "tsv": "\t"}


@dataclass(frozen=True, slots=True)
class Record:
    """A row: its `cells`, as many as the header has, and its text `raw`, None where they had to be made so many."""

    cells: list[str]
    raw: str | None


class TableSource:
    """An input with a header line."""

    def __init__(
        self,
        lines: Lines,
        delimiter: str,
        fields: Sequence[str],
        kind: Kind,
        columns: Columns,
        shard: Shard,
    ) -> None:
        """Read the header. Raises InputError where it lacks a field, or has a column twice or one of the new ones."""
        # The module's limit of 131,072 characters is for the whole process and only ever raised here.
        csv.field_size_limit(max(csv.field_size_limit(), MAX_CHARACTERS + 1))
        self._lines = lines
        self._fields = fields
        self._kind: Kind = kind
        self._shard = shard
        self._builder = WindowBuilder(strict=not columns.errors)
        self._raw: list[str] = []
        self._bad: InputError | None = None
        self.marked = False  # with a byte order mark, by which spreadsheets know UTF-8
        self._records = csv.reader(self._texts(), delimiter=delimiter, strict=True)
        header = self._next()
        if header is None:
            raise InputError(f"{lines.name}: is empty, expected a header line with {' and '.join(fields)}")
        if self._bad is not None:
            raise self._bad
        self.header = header
        self.header_text, self.end = _split_end(self._taken_text())
        _check_header(header, fields, columns, f"{lines.name}, line 1")
        self._positions = [header.index(name) for name in fields]
        self.total = lines.total

    def identity(self) -> dict[str, Any]:
        return {}

    def windows(self, state: State | None) -> Iterator[Window]:
        lines, builder = self._lines, self._builder
        if state is not None:
            lines.skip_to(state)
        row = int(state["rows"]) if state is not None else 0
        while True:
            before, self._bad = lines.number, None
            size = lines.bytes
            cells = self._next()
            if cells is None:
                break
            raw = self._taken_text()
            mine = self._shard.has(row)
            row += 1
            if mine:
                self._add(cells, raw, f"{lines.name}, line {before + 1}", lines.bytes - size)
                if not builder.room:
                    yield builder.take(lines.state(row), lines.position)
        if builder.rows:
            yield builder.take(lines.state(row), lines.position)

    def close(self) -> None:
        self._lines.close()

    def _add(self, cells: list[str], raw: str, where: str, size: int) -> None:
        whole = len(cells) == len(self.header)
        try:
            if self._bad is not None:
                raise self._bad
            if not whole:
                surplus = cells[len(self.header) :]
                more = f"; the last are {dumped(surplus)}" if surplus else ""
                raise InputError(f"{where}: {len(cells)} cells, expected {len(self.header)} as in the header{more}")
            self._builder.add(where, self._row(cells, where))
        except AssayError as error:
            self._builder.add(where, error)
        if not whole:
            cells = (cells + [""] * len(self.header))[: len(self.header)]
        self._builder.keep(Record(cells, raw if whole else None), size)

    def _row(self, cells: list[str], where: str) -> Row:
        texts = [
            check_text(cells[position], located(where, name))
            for position, name in zip(self._positions, self._fields, strict=True)
        ]
        return check_row(tuple(texts), self._kind, where, None) if self._kind == "pair" else texts[0]

    def _texts(self) -> Iterator[str]:
        """The lines, as csv.reader asks for them: never more than the record that it reads."""
        while (line := self._lines.next()) is not None:
            first = self._lines.number == 1
            try:
                text = decoded(line, f"{self._lines.name}, line {self._lines.number}", first)
            except InputError as error:
                self._bad = self._bad or error
                text = line.decode("utf-8-sig" if first else "utf-8", "backslashreplace")
            self.marked = self.marked or (first and line.startswith(codecs.BOM_UTF8))
            self._raw.append(text)
            yield text

    def _next(self) -> list[str] | None:
        try:
            return next(self._records, None)
        except csv.Error as error:
            raise InputError(
                f"{self._lines.name}, line {self._lines.number}: {error}; quote cells as CSV does"
            ) from None

    def _taken_text(self) -> str:
        text = "".join(self._raw)
        self._raw.clear()
        return text


def header_line(source: TableSource, columns: Columns, delimiter: str, same: bool) -> bytes:
    """The header with the new columns, in UTF-8. `same`: `delimiter` is the input's, whose text is kept."""
    new = [name for column in columns.all for name in _cell_names(column.name, column.labels)]
    text = source.header_text if same else _joined(source.header, delimiter)
    mark = "\ufeff" if source.marked else ""
    return f"{mark}{text}{delimiter}{_joined(new, delimiter)}{source.end}".encode()


def encode_records(
    payload: Sequence[Record], answers: Answers, columns: Columns, delimiter: str, same: bool, end: str
) -> bytes:
    """The rows with their answers; `scores` is a cell per label."""
    out = []
    for record, values in zip(payload, answers, strict=True):
        new: list[str] = []
        for column, value in zip(columns.all, values, strict=True):
            if column.kind == "scores":
                scores = value if isinstance(value, Mapping) else {}
                new += ["" if label not in scores else repr(scores[label]) for label in column.labels]
            else:
                new.append("" if value is None else str(value))
        raw = record.raw if same else None
        text, own_end = _split_end(raw, end) if raw is not None else (_joined(record.cells, delimiter), end)
        out.append(f"{text}{delimiter}{_joined(new, delimiter)}{own_end}")
    return "".join(out).encode("utf-8")


def encode_records_as_lines(
    payload: Sequence[Record], answers: Answers, columns: Columns, header: Sequence[str]
) -> bytes:
    """The rows as JSON lines, every cell a string."""
    lines = []
    for record, values in zip(payload, answers, strict=True):
        lines.append(dumped(dict(zip(header, record.cells, strict=True)) | members(columns, values)) + "\n")
    return "".join(lines).encode("utf-8")


def _cell_names(name: str, labels: Sequence[str]) -> list[str]:
    return [f"{name}.{label}" for label in labels] or [name]


def _check_header(header: list[str], fields: Sequence[str], columns: Columns, where: str) -> None:
    twice = first_twice(header)
    if twice is not None:
        raise InputError(f"{where}: {header.count(twice)} columns named {twice!r}, expected each name once")
    for name in fields:
        if name not in header:
            raise InputError(f"{located(where, name)}: is missing, found {named_columns(header)}")
    # "scores" is a column in JSON lines and in Parquet, and "scores.LABEL" are those of a table.
    new = [name for column in columns.all for name in (column.name, *_cell_names(column.name, column.labels))]
    taken = next((name for name in new if name in header), None)
    if taken is not None:
        raise InputError(f"{located(where, taken)}: is there already, expected no column of this name; rename it")


def _joined(cells: Sequence[str], delimiter: str) -> str:
    if list(cells) == [""]:
        return ""  # alone the writer would quote it, to tell it from an empty line; here it never is alone
    buffer = io.StringIO()
    # Before Python 3.13 the writer quotes the characters of its own line end alone, so that it has to have one.
    csv.writer(buffer, delimiter=delimiter, lineterminator="\r\n").writerow(cells)
    return buffer.getvalue().removesuffix("\r\n")


def _split_end(text: str, end: str = "\n") -> tuple[str, str]:
    """A record's text and line end, `end` where it has none as the last one may.

    To csv.reader carriage returns behind the last cell are part of the line end. Before a new cell they would be in the
    middle of a row, where it refuses them.
    """
    if text.endswith("\n"):
        end = "\r\n" if text.endswith("\r\n") else "\n"
    return text.rstrip("\r\n"), end
