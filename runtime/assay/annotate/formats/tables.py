"""CSV and TSV in and out. A row keeps its own bytes, quotes included: the new cells are appended to its last one.

Where the quotes of a record are wrong, nobody can say where the next one starts, so that is an error also with
--on-error null.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from assay.annotate.columns import Answers, Columns
from assay.annotate.formats.json_lines import dump, name_values
from assay.annotate.formats.lines import ResumableLines
from assay.annotate.shards import Shard
from assay.annotate.windows import State, Window, WindowBuilder
from assay.errors import AssayError, InputError
from assay.inputs.files.fields import locate
from assay.inputs.files.tables import TableReader, TableRow
from assay.inputs.validation import Kind, Row, check_row, check_text

__all__ = ["TableSource", "encode_header", "encode_records", "encode_records_as_lines"]


class TableSource:
    """An input with a header line. `marked` says that it starts with a byte order mark."""

    def __init__(
        self,
        lines: ResumableLines,
        delimiter: str,
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
        self._table = TableReader(lines, delimiter, fields)
        self.header = self._table.header
        self.marked = self._table.marked
        self.header_text, self.end = _split_end(self._table.header_text)
        _refuse_present(self.header, columns, f"{lines.name}, line 1")
        self._positions = [self.header.index(name) for name in fields]
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
                if not builder.room:
                    yield builder.take(lines.state(row), lines.position)
            size = lines.bytes
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


def encode_header(source: TableSource, columns: Columns, delimiter: str, same: bool) -> bytes:
    """Return the header with the new columns, in UTF-8.

    `same` says that `delimiter` is that of the input, whose text is kept then.
    """
    new = [name for column in columns.all for name in _cell_names(column.name, column.labels)]
    text = source.header_text if same else _join(source.header, delimiter)
    mark = "\ufeff" if source.marked else ""
    return f"{mark}{text}{delimiter}{_join(new, delimiter)}{source.end}".encode()


def encode_records(
    payload: Sequence[TableRow], answers: Answers, columns: Columns, delimiter: str, same: bool, end: str
) -> bytes:
    """Return the rows with their answers; `scores` is a cell per label, `labels` a JSON list."""
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
                new.append("" if value is None else str(value))
        raw = record.raw if same else None
        text, own_end = _split_end(raw, end) if raw is not None else (_join(record.cells, delimiter), end)
        out.append(f"{text}{delimiter}{_join(new, delimiter)}{own_end}")
    return "".join(out).encode("utf-8")


def encode_records_as_lines(
    payload: Sequence[TableRow], answers: Answers, columns: Columns, header: Sequence[str]
) -> bytes:
    """Return the rows as JSON lines, every cell a string."""
    lines = []
    for record, values in zip(payload, answers, strict=True):
        lines.append(dump(dict(zip(header, record.cells, strict=True)) | name_values(columns, values)) + "\n")
    return "".join(lines).encode("utf-8")


def _cell_names(name: str, labels: Sequence[str]) -> list[str]:
    return [f"{name}.{label}" for label in labels] or [name]


def _refuse_present(header: Sequence[str], columns: Columns, where: str) -> None:
    # "scores" is a column in JSON lines and in Parquet, and "scores.LABEL" are those of a table.
    new = [name for column in columns.all for name in (column.name, *_cell_names(column.name, column.labels))]
    present = next((name for name in new if name in header), None)
    if present is not None:
        raise InputError(f"{locate(where, present)}: is there already, expected no column of this name; rename it")


def _join(cells: Sequence[str], delimiter: str) -> str:
    if list(cells) == [""]:
        return ""  # the writer quotes a single empty cell, to tell it from an empty line; here others follow
    buffer = io.StringIO()
    # Before Python 3.13 the writer quotes only the characters of its own line end, so it needs one.
    csv.writer(buffer, delimiter=delimiter, lineterminator="\r\n").writerow(cells)
    return buffer.getvalue().removesuffix("\r\n")


def _split_end(text: str, end: str = "\n") -> tuple[str, str]:
    """Return a record's text and line end; `end` where it has none, as the last one may.

    csv.reader counts carriage returns after the last cell as part of the line end. Before a new cell they would be in
    the middle of a row, where it refuses them.
    """
    if text.endswith("\n"):
        end = "\r\n" if text.endswith("\r\n") else "\n"
    return text.rstrip("\r\n"), end
