"""Parquet: the score and the group of each row, and the rows chosen, with the types and metadata of their columns."""

from collections.abc import Container, Iterator
from typing import Any, BinaryIO

from assay.errors import InputError, one_line
from assay.inputs.files.fields import list_columns, locate
from assay.optional_packages import require
from assay.select.ranking import read_key
from assay.select.rows import Key

__all__ = ["ParquetRows"]

_ROWS_PER_GROUP = 1 << 16
_BYTES_PER_GROUP = 32 << 20
_ROWS_PER_READ = 1_024
_BUFFER = 1 << 20


class ParquetRows:
    """The rows of a Parquet file. Errors name a row by its number from 0."""

    def __init__(self, path: str, name: str, by: str, group: str | None) -> None:
        self._arrow = require("pyarrow", "'assay[parquet]'", "a Parquet file")
        self._parquet = require("pyarrow.parquet", "'assay[parquet]'", "a Parquet file")
        self._path = path
        self._name = name
        self._by = by
        self._group = group

    def keys(self) -> Iterator[Key | InputError]:
        with self._open() as file:
            names = list(file.schema_arrow.names)
            fields = [self._by] if self._group is None else [self._by, self._group]
            roots = [field if field in names else field.partition(".")[0] for field in fields]
            for field, root in zip(fields, roots, strict=True):
                if root not in names:
                    raise InputError(f"{locate(self._name, field)}: is missing, found {list_columns(names)}")
            row = 0
            for batch in self._read(file, list(dict.fromkeys(roots))):
                for document in batch.to_pylist():
                    yield read_key(document, self._by, self._group, f"{self._name}, row {row}")
                    row += 1

    def copy(self, chosen: Container[int], out: BinaryIO) -> None:
        with self._open() as file, self._parquet.ParquetWriter(out, file.schema_arrow) as writer:
            kept: list[Any] = []
            row = rows = size = 0
            for batch in self._read(file, None):
                places = [place for place in range(len(batch)) if row + place in chosen]
                row += len(batch)
                if places:
                    # A slice would keep the memory of the whole batch.
                    kept.append(batch.take(self._arrow.array(places)))
                    rows, size = rows + len(places), size + kept[-1].nbytes
                if rows >= _ROWS_PER_GROUP or size >= _BYTES_PER_GROUP:
                    writer.write_table(self._arrow.Table.from_batches(kept), row_group_size=rows)
                    kept, rows, size = [], 0, 0
            if kept:
                writer.write_table(self._arrow.Table.from_batches(kept), row_group_size=rows)

    def _open(self) -> Any:
        try:
            return self._parquet.ParquetFile(self._path, buffer_size=_BUFFER, pre_buffer=False)
        except self._errors() as error:
            raise self._unreadable(error) from error

    def _read(self, file: Any, columns: list[str] | None) -> Iterator[Any]:
        try:
            yield from file.iter_batches(_ROWS_PER_READ, columns=columns, use_threads=False)
        except self._errors() as error:
            raise self._unreadable(error) from error

    def _errors(self) -> tuple[type[Exception], ...]:
        """Return what pyarrow raises over a damaged file: its own errors, and MemoryError where a size is damaged."""
        return (OSError, ValueError, OverflowError, MemoryError, self._arrow.ArrowException)

    def _unreadable(self, error: Exception) -> InputError:
        if isinstance(error, InputError):
            return error
        return InputError(f"{self._name}: cannot be read as Parquet ({one_line(error)}); check the file")
