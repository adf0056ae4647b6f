"""Parquet in and out, through pyarrow.

A Parquet file ends in an index of all its parts, so nothing can be appended to one that was never finished. While a run
lasts, the partial output is therefore a sequence of Arrow IPC streams, one per window, each after its length. When all
rows are there, the streams are read again one by one and written as Parquet, in row groups that depend on the rows
alone.
"""

import datetime
import decimal
import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from assay.annotate.columns import Answers, Column, Columns
from assay.annotate.formats.json_lines import dump, name_values
from assay.annotate.shards import Shard
from assay.annotate.windows import State, Window, WindowBuilder
from assay.errors import AssayError, InputError, one_line
from assay.files import to_utf_8
from assay.inputs.files.fields import list_columns, locate, read_texts
from assay.inputs.validation import Kind, Row, describe, first_twice
from assay.optional_packages import require

__all__ = [
    "ParquetSource",
    "assemble",
    "encode_batches",
    "encode_batches_as_lines",
    "output_schema",
    "text_batch",
    "text_schema",
]

ROWS_PER_GROUP = 1 << 16
BYTES_PER_GROUP = 32 << 20
_ROWS_PER_READ = 128  # rows decoded at once, whatever their size
_BUFFER = 1 << 20
_LENGTH = 8  # bytes in front of a window, little endian


def arrow() -> Any:
    """Return the module pyarrow. Raises InstallationError where it is missing."""
    return require("pyarrow", "'assay[parquet]'", "a Parquet file")


def _list_errors() -> tuple[type[Exception], ...]:
    """Return what pyarrow raises over a damaged file: its own errors, and MemoryError where a size is damaged."""
    return (OSError, ValueError, OverflowError, MemoryError, arrow().ArrowException)


class ParquetSource:
    """A Parquet input. The payload of a window is a list of record batches.

    Errors name a row by its number from 0. A run that resumes knows the file again by its size, its modification time
    and the hash of its index, which has the place, size and statistics of every part. It does not read the rows again.
    """

    def __init__(self, path: str, fields: Sequence[str], kind: Kind, columns: Columns, shard: Shard) -> None:
        """Read the index.

        Raises:
            InputError: The file is not Parquet, lacks a field, or has one of the new columns.
        """
        arrow()
        parquet = require("pyarrow.parquet", "'assay[parquet]'", "a Parquet file")
        self.name = path
        try:
            status = Path(path).stat()
            self._identity = {
                "size": status.st_size,
                "changed_ns": status.st_mtime_ns,
                "index_sha256": _index_hash(Path(path)),
            }
            # Without buffer_size a whole column of a row group is read at once.
            self._file = parquet.ParquetFile(to_utf_8(path), buffer_size=_BUFFER, pre_buffer=False)
            self.schema = self._file.schema_arrow
        except _list_errors() as error:
            raise InputError(f"{path}: cannot be read as Parquet ({one_line(error)}); check the file") from error
        self.total: int | None = int(self._file.metadata.num_rows)
        self._fields = fields
        self._kind: Kind = kind
        self._shard = shard
        self._builder = WindowBuilder(strict=not columns.errors)
        names = list(self.schema.names)
        twice = first_twice(names)
        if twice is not None:
            raise InputError(f"{path}: has {names.count(twice)} columns named {twice!r}, expected each name once")
        present = columns.find_present(names)
        if present is not None:
            raise InputError(f"{locate(path, present)}: is there already, expected no column of this name; rename it")
        roots = [name if name in names else name.partition(".")[0] for name in fields]
        for field, root in zip(fields, roots, strict=True):
            if root not in names:
                raise InputError(f"{locate(path, field)}: is missing, found {list_columns(names)}")
        self._roots = list(dict.fromkeys(roots))

    def identity(self) -> dict[str, Any]:
        return dict(self._identity)

    def windows(self, state: State | None) -> Iterator[Window]:
        builder = self._builder
        row = start = int(state["rows"]) if state is not None else 0
        for first, batch in self._batches(start):
            mine = [index for index in range(len(batch)) if self._shard.has(first + index)]
            offset = 0
            while offset < len(mine):
                piece = mine[offset : offset + builder.room]
                offset += len(piece)
                row = first + piece[-1] + 1
                self._add(first, piece, _take(batch, piece))
                if not builder.room:
                    yield builder.take({"rows": row, "position": row}, row)
        if builder.rows:
            yield builder.take({"rows": row, "position": row}, row)

    def close(self) -> None:
        self._file.close()

    def _batches(self, start: int) -> Iterator[tuple[int, Any]]:
        """Yield record batches with the number of their first row, from row `start` on."""
        row = 0
        try:
            for group in range(self._file.metadata.num_row_groups):
                count = self._file.metadata.row_group(group).num_rows
                if row + count <= start:
                    row += count
                    continue
                for batch in self._file.iter_batches(_ROWS_PER_READ, row_groups=[group], use_threads=False):
                    skipped = min(max(start - row, 0), len(batch))
                    if skipped < len(batch):
                        yield row + skipped, batch.slice(skipped)
                    row += len(batch)
        except _list_errors() as error:
            if isinstance(error, AssayError):
                raise
            raise InputError(f"{self.name}, after row {row}: cannot be read ({one_line(error)}); check it") from error

    def _add(self, first: int, piece: Sequence[int], batch: Any) -> None:
        values = {root: _values(batch.column(root)) for root in self._roots}
        for position, index in enumerate(piece):
            where = f"{self.name}, row {first + index}"
            self._builder.add(where, self._row({root: column[position] for root, column in values.items()}, where))
        self._builder.keep(batch, int(batch.nbytes))

    def _row(self, document: dict[str, object], where: str) -> Row | AssayError:
        try:
            for root, value in document.items():
                if isinstance(value, Exception):
                    found = "is not UTF-8" if isinstance(value, UnicodeDecodeError) else "cannot be read"
                    raise InputError(f"{locate(where, root)}: {found} ({one_line(value)}); write the file again")
            return read_texts(document, self._fields, self._kind, where)
        except InputError as error:
            return error


def output_schema(schema: Any, columns: Columns) -> Any:
    """Return `schema` with the new columns. The metadata for pandas and datasets is kept."""
    for column in columns.all:
        schema = schema.append(arrow().field(column.name, _type(column)))
    return schema


def text_schema(names: Sequence[str]) -> Any:
    """Return the schema of a table whose cells are all text."""
    return arrow().schema([(name, arrow().string()) for name in names])


def text_batch(rows: Sequence[Sequence[str]], schema: Any) -> Any:
    """Return rows of cells as a record batch of `schema`, whose columns are text."""
    pa = arrow()
    return pa.RecordBatch.from_arrays(
        [pa.array(column, pa.string()) for column in zip(*rows, strict=True)], schema=schema
    )


def encode_batches(batches: Sequence[Any], answers: Answers, columns: Columns, schema: Any) -> bytes:
    """Return a window as an IPC stream after its length.

    `batches` have the columns of `schema` that are not new.
    """
    pa = arrow()
    table = pa.Table.from_batches(batches).combine_chunks()
    arrays = [chunks.combine_chunks() if chunks.num_chunks != 1 else chunks.chunk(0) for chunks in table.columns]
    for number, column in enumerate(columns.all):
        arrays.append(pa.array([values[number] for values in answers], type=_type(column)))
    sink = io.BytesIO()
    batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(batch)
    data = sink.getvalue()
    return len(data).to_bytes(_LENGTH, "little") + data


def encode_batches_as_lines(batches: Sequence[Any], answers: Answers, columns: Columns, wheres: Sequence[str]) -> bytes:
    """Return the rows as JSON lines: dates in ISO 8601, decimals as strings.

    Raises:
        InputError: JSON cannot express a value.
    """
    try:
        rows = [row for batch in batches for row in batch.to_pylist()]
    except UnicodeDecodeError as error:
        raise InputError(f"{wheres[0]} to {wheres[-1]}: a text is not UTF-8 ({error}); write the file again") from None
    except (ValueError, OverflowError) as error:  # a struct with a field twice, a date after the year 9999
        raise InputError(
            f"{wheres[0]} to {wheres[-1]}: cannot be written as JSON ({error}); choose an OUTPUT of .parquet"
        ) from None
    lines = []
    for row, values, where in zip(rows, answers, wheres, strict=True):
        try:
            lines.append(dump(row | name_values(columns, values), _make_plain) + "\n")
        except (TypeError, ValueError) as error:
            raise InputError(f"{where}: cannot be written as JSON ({error}); choose an OUTPUT of .parquet") from None
    return "".join(lines).encode("utf-8")


def assemble(partial: BinaryIO, out: BinaryIO, schema: Any) -> None:
    """Write the windows in the file `partial` to `out` as Parquet."""
    pa, parquet = arrow(), require("pyarrow.parquet", "'assay[parquet]'", "a Parquet file")
    with parquet.ParquetWriter(out, schema) as writer:
        group: list[Any] = []
        rows = size = 0
        while head := partial.read(_LENGTH):
            with pa.ipc.open_stream(partial.read(int.from_bytes(head, "little"))) as stream:
                table = stream.read_all()
            group.append(table)
            rows, size = rows + table.num_rows, size + table.nbytes
            if rows >= ROWS_PER_GROUP or size >= BYTES_PER_GROUP:
                writer.write_table(pa.concat_tables(group), row_group_size=rows)
                group, rows, size = [], 0, 0
        if group:
            writer.write_table(pa.concat_tables(group), row_group_size=rows)


def _make_plain(value: object) -> str:
    """Return a value that json.dumps does not know as a str."""
    if isinstance(value, datetime.date | datetime.time):  # datetime.datetime is a date
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return str(value)
    raise TypeError(f"found {describe(value)}")


def _type(column: Column) -> Any:
    pa = arrow()
    if column.kind == "scores":
        return pa.struct([(label, pa.float32()) for label in column.labels])
    if column.kind == "texts":
        return pa.list_(pa.string())
    return {"text": pa.string(), "number": pa.float32(), "integer": pa.int64()}[column.kind]


def _take(batch: Any, piece: Sequence[int]) -> Any:
    """Return the rows `piece`, ascending, of a batch: a slice where they are consecutive."""
    if piece[-1] - piece[0] + 1 == len(piece):
        return batch.slice(piece[0], len(piece))
    return batch.take(arrow().array(piece))


def _values(column: Any) -> list[Any]:
    """Return the values of a column, with the error in the place of one that Python cannot represent (no UTF-8)."""
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError):
        values = []
        for scalar in column:
            try:
                values.append(scalar.as_py())
            except (ValueError, OverflowError) as error:
                values.append(error)
    return values


def _index_hash(path: Path) -> str:
    """Return the SHA-256 of a Parquet file's index. Its length and the magic number follow it, in the last 8 bytes."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 8, 0))
        tail = file.read()
        length = int.from_bytes(tail[:4], "little") if tail[4:] == b"PAR1" else 0
        file.seek(max(size - 8 - length, 0))
        return hashlib.sha256(file.read(length)).hexdigest()
