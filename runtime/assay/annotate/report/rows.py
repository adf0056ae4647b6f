"""The rows of a finished output, of any format, with their values as JSON lines have them."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from assay.annotate.columns import Column
from assay.errors import InputError
from assay.inputs.files.names import Format
from assay.inputs.files.quoting import Quoting
from assay.inputs.files.rows import read_records
from assay.optional_packages import require

__all__ = ["read_output"]

_ROWS_PER_READ = 1_024


def read_output(
    path: str, format: Format, quoting: Quoting, columns: Sequence[Column], fields: Sequence[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield where each row of the output is, "line N" or "row N", and the row; new columns have their own types.

    Args:
        path: The finished output.
        format: Its format.
        quoting: That of a table.
        columns: The new columns.
        fields: The fields with the texts.

    Raises:
        InputError: It cannot be read: somebody changed it since it was written.
    """
    if format.kind == "parquet":
        yield from _read_parquet(path, [*(column.name for column in columns), *fields])
        return
    is_table = format.kind != "jsonl"
    for record in read_records(path, (), quoting=quoting if is_table else None):
        if isinstance(record.value, InputError):
            raise record.value
        row = record.value
        if is_table:
            row = row | {column.name: _parse(row.get(column.name, ""), column) for column in columns}
        yield f"line {record.line:,}", row


def _parse(cell: str, column: Column) -> object:
    """Return the value of a cell of a new column; an empty one is of a row without an answer."""
    if not cell:
        return None
    if column.kind in ("number", "integer"):
        return float(cell)
    return json.loads(cell) if column.kind == "texts" else cell


def _read_parquet(path: str, names: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    parquet = require("pyarrow.parquet", "'assay[parquet]'", "a Parquet file")
    with parquet.ParquetFile(path) as file:
        present = file.schema_arrow.names
        roots = [name if name in present else name.partition(".")[0] for name in names]
        number = 0
        for batch in file.iter_batches(_ROWS_PER_READ, columns=list(dict.fromkeys(roots)), use_threads=False):
            for index in range(len(batch)):
                yield f"row {number:,}", {name: _read_cell(batch.column(name)[index]) for name in batch.schema.names}
                number += 1


def _read_cell(scalar: Any) -> object:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):  # a text that is not UTF-8, of a row without an answer
        return None
