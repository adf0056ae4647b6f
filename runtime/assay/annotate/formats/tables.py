"""CSV and TSV in and out. A row keeps its own bytes, quotes included: the new cells are appended to its last one.

Where the quotes of a record are wrong, nobody can say where the next one starts, so that is an error also with
--on-error null.

A TSV whose quotes are text is written as such. A CSV always quotes its cells, so rows of a CSV whose quotes are text
are written anew.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.annotate.columns import Answers, Columns
from assay.annotate.formats.json_lines import dump, name_values
from assay.annotate.formats.lines import ResumableLines
from assay.annotate.shards import Shard
from assay.annotate.windows import State, Window, WindowBuilder
from assay.errors import AssayError, InputError
from assay.inputs.files.fields import locate
from assay.inputs.files.names import FileKind
from assay.inputs.files.quoting import Quoting
from assay.inputs.files.tables import DELIMITERS, TableReader, TableRow
from assay.inputs.validation import Kind, Row, check_row, check_text
from assay.models.columns import ERROR

__all__ = ["Dialect", "TableSource", "choose_dialect", "encode_header", "encode_records", "encode_records_as_lines"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a table is written.

    Attributes:
        delimiter: What separates cells.
        quotes: Whether cells may be quoted. Otherwise every quote is text.
        keeps: Whether rows of the input are in this dialect, so that they keep their bytes.
    """

    delimiter: str
    quotes: bool
    keeps: bool


def choose_dialect(read: FileKind, written: FileKind, quoting: Quoting | None) -> Dialect:
    """Return the dialect of an output `written` as CSV or TSV, for an input `read` with `quoting`."""
    same, quotes = read == written, quoting == "minimal"
    if same and read == "tsv":
        return Dialect(DELIMITERS[written], quotes, keeps=True)
    return Dialect(DELIMITERS[written], quotes=True, keeps=same and quotes)


class TableSource:
    """An input with a header line.

    Attributes:
        header: The names of the columns as they stand in the file.
        names: The same with a name for columns that have none.
        header_text: The header as it stands in the file, without its line end.
        end: Its line end.
        marked: Whether it starts with a byte order mark.
        total: The size of the file in bytes, if it is known.
    """

    def __init__(
        self,
        lines: ResumableLines,
        delimiter: str,
        quoting: Quoting | None,
        fields: Sequence[str],
        kind: Kind,
        columns: Columns,
        shard: Shard,
    ) -> None:
        """Read the header.

        Raises:
            InputError: The header lacks a field, has a column twice, or has one of the new columns.
        """
        self._lines = lines
        self._fields = fields
        self._kind: Kind = kind
        self._shard = shard
        self._builder = WindowBuilder(strict=not columns.errors)
        self._table = TableReader(lines, delimiter, fields, quoting)
        self.header, self.names = self._table.header, self._table.names
        self.marked = self._table.marked
        self.header_text, self.end = _split_end(self._table.header_text, quoting == "minimal")
        _refuse_present(self.names, columns, f"{lines.name}, line 1")
        self._positions = [self.names.index(name) for name in fields]
        self.total = lines.total

    def identity(self) -> dict[str, Any]:
        return {}

    def windows(self, state: State | None) -> Iterator[Window]:
        lines, builder = self._lines, self._builder
        if state is not None:
            lines.skip_to(state)
        row = int(state["rows"]) if state is not None else 0
        size = lines.bytes
        while (record := self._table.next()) is not None:
            mine = self._shard.has(row)
            row += 1
            if mine:
                self._add(record, lines.bytes - size)
            size = lines.bytes
            if builder.rows and (not builder.room or not lines.ready):
                yield builder.take(lines.state(row), lines.position)
        if builder.rows:
            yield builder.take(lines.state(row), lines.position)

    def close(self) -> None:
        self._lines.close()

    def _add(self, record: TableRow, size: int) -> None:
        try:
            if record.error is not None:
                raise record.error
            self._builder.add(record.where, self._row(record.cells, record.where))
        except AssayError as error:
            self._builder.add(record.where, error)
        self._builder.keep(record, size)

    def _row(self, cells: list[str], where: str) -> Row:
        texts = [
            check_text(cells[position], locate(where, name))
            for position, name in zip(self._positions, self._fields, strict=True)
        ]
        return check_row(tuple(texts), self._kind, where, None) if self._kind == "pair" else texts[0]


def encode_header(source: TableSource, columns: Columns, dialect: Dialect) -> bytes:
    """Return the header with the new columns, in UTF-8.

    Raises:
        InputError: The dialect cannot express the name of a column.
    """
    new = [name for column in columns.all for name in _cell_names(column.name, column.labels)]
    text = source.header_text if dialect.keeps else _join(source.header, dialect)
    mark = "\ufeff" if source.marked else ""
    return f"{mark}{text}{dialect.delimiter}{_join(new, dialect)}{source.end}".encode()


def encode_records(
    payload: Sequence[TableRow], answers: Answers, columns: Columns, dialect: Dialect, end: str
) -> bytes:
    """Return the rows with their answers; `scores` is a cell per label, `labels` a JSON list.

    Raises:
        InputError: The dialect cannot express a label.
    """
    out = []
    for record, values in zip(payload, answers, strict=True):
        new: list[str] = []
        for column, value in zip(columns.all, values, strict=True):
            if column.kind == "scores":
                scores = value if isinstance(value, Mapping) else {}
                new += ["" if label not in scores else repr(scores[label]) for label in column.labels]
            elif column.kind == "texts":
                new.append("" if value is None else dump(value))
            else:
                cell = "" if value is None else str(value)
                new.append(" ".join(cell.split()) if column.name == ERROR and not dialect.quotes else cell)
        if dialect.keeps and record.raw is not None:
            text, own_end = _split_end(record.raw, dialect.quotes, end)
        else:
            text, own_end = _join(record.cells, dialect), end
        out.append(f"{text}{dialect.delimiter}{_join(new, dialect)}{own_end}")
    return "".join(out).encode("utf-8")


def encode_records_as_lines(
    payload: Sequence[TableRow], answers: Answers, columns: Columns, names: Sequence[str]
) -> bytes:
    """Return the rows as JSON lines, every cell a string."""
    lines = []
    for record, values in zip(payload, answers, strict=True):
        lines.append(dump(dict(zip(names, record.cells, strict=True)) | name_values(columns, values)) + "\n")
    return "".join(lines).encode("utf-8")


def _cell_names(name: str, labels: Sequence[str]) -> list[str]:
    return [f"{name}.{label}" for label in labels] or [name]


def _refuse_present(header: Sequence[str], columns: Columns, where: str) -> None:
    # "scores" is a column in JSON lines and in Parquet, and "scores.LABEL" are those of a table.
    new = [name for column in columns.all for name in (column.name, *_cell_names(column.name, column.labels))]
    present = next((name for name in new if name in header), None)
    if present is not None:
        raise InputError(f"{locate(where, present)}: is there already, expected no column of this name; rename it")


def _join(cells: Sequence[str], dialect: Dialect) -> str:
    if not dialect.quotes:
        wrong = next((cell for cell in cells if any(mark in cell for mark in (dialect.delimiter, "\n", "\r"))), None)
        if wrong is not None:
            raise InputError(
                f"found {wrong!r:.80}, expected no tab and no line end, because quotes are text in this table; "
                "choose an OUTPUT of .csv or .jsonl"
            )
        return dialect.delimiter.join(cells)
    if list(cells) == [""]:
        return ""  # the writer quotes a single empty cell, to tell it from an empty line; here others follow
    buffer = io.StringIO()
    # Before Python 3.13 the writer quotes only the characters of its own line end, so it needs one.
    csv.writer(buffer, delimiter=dialect.delimiter, lineterminator="\r\n").writerow(cells)
    return buffer.getvalue().removesuffix("\r\n")


def _split_end(text: str, quotes: bool, end: str = "\n") -> tuple[str, str]:
    """Return a record's text and line end; `end` where it has none, as the last one may.

    csv.reader counts carriage returns after the last cell as part of the line end. Before a new cell they would be in
    the middle of a row, where it refuses them. Where quotes are text, a carriage return is text as well.
    """
    if text.endswith("\n"):
        end = "\r\n" if text.endswith("\r\n") else "\n"
    return text.rstrip("\r\n") if quotes else text.removesuffix("\n").removesuffix("\r"), end
