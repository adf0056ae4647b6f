"""Connects the format of the input with that of the output: from what the input keeps of its rows to output bytes."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from assay.annotate.columns import Answers, Columns
from assay.annotate.formats.json_lines import JsonSource, encode_lines
from assay.annotate.formats.lines import ResumableLines
from assay.annotate.output.compression import compress, join_frames
from assay.annotate.output.destination import Assemble
from assay.annotate.shards import Shard
from assay.annotate.windows import Source, Window
from assay.inputs.files.names import BLANK, Format
from assay.inputs.files.quoting import Quoting
from assay.inputs.files.tables import DELIMITERS
from assay.inputs.validation import Kind

__all__ = ["Encoder", "Selection", "connect"]


@dataclass(frozen=True, slots=True)
class Encoder:
    """Makes the bytes of the output.

    Attributes:
        head: The bytes before the first window.
        encode: Returns a window's bytes, which depend on that window alone.
        assemble: Makes the finished file from all those bytes, where joining them is not enough.
    """

    head: bytes
    encode: Callable[[Window, Answers], bytes]
    assemble: Assemble | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """What a run reads of its input and adds to it: the `fields` of a row of `kind`, in one `shard`, and `columns`.

    `quoting` is that of a table.
    """

    fields: Sequence[str]
    kind: Kind
    columns: Columns
    shard: Shard
    quoting: Quoting | None = None


def connect(path: str, formats: tuple[Format, Format], selection: Selection) -> tuple[Source, Encoder]:
    """Open the input at `path` and return it with the encoder of its rows, for the formats of input and output.

    Raises:
        InputError: The input cannot be opened, or its header lacks a field.
        InstallationError: A package is missing.
    """
    read, written = formats
    compress(b".", written.compression)  # a missing package shows before there is anything to lose
    if read.kind == "jsonl":
        columns = selection.columns
        lines = ResumableLines(path, read.compression, BLANK[read.kind])
        source: Source = JsonSource(lines, selection.fields, selection.kind, columns, selection.shard)
        return source, _text(b"", lambda window, answers: encode_lines(window.payload, answers, columns), written)
    if read.kind == "parquet":
        return _connect_parquet(path, written, selection)
    return _connect_table(path, formats, selection)


def _text(head: bytes, encode: Callable[[Window, Answers], bytes], written: Format) -> Encoder:
    compression = written.compression
    return Encoder(
        compress(head, compression),
        lambda window, answers: compress(encode(window, answers), compression),
        join_frames if compression == "zst" else None,
    )


def _connect_parquet(path: str, written: Format, selection: Selection) -> tuple[Source, Encoder]:
    from assay.annotate.formats import parquet

    columns = selection.columns
    source = parquet.ParquetSource(path, selection.fields, selection.kind, columns, selection.shard)
    if written.kind == "jsonl":
        return source, _text(
            b"",
            lambda window, answers: parquet.encode_batches_as_lines(window.payload, answers, columns, window.wheres),
            written,
        )
    schema = parquet.output_schema(source.schema, columns)
    return source, Encoder(
        b"",
        lambda window, answers: parquet.encode_batches(window.payload, answers, columns, schema),
        functools.partial(parquet.assemble, schema=schema),
    )


def _connect_table(path: str, formats: tuple[Format, Format], selection: Selection) -> tuple[Source, Encoder]:
    from assay.annotate.formats import tables

    read, written = formats
    columns = selection.columns
    lines = ResumableLines(path, read.compression, BLANK[read.kind])
    delimiter, quoting = DELIMITERS[read.kind], selection.quoting
    source = tables.TableSource(lines, delimiter, quoting, selection.fields, selection.kind, columns, selection.shard)
    if written.kind == "jsonl":
        return source, _text(
            b"",
            lambda window, answers: tables.encode_records_as_lines(window.payload, answers, columns, source.names),
            written,
        )
    if written.kind == "parquet":
        from assay.annotate.formats import parquet

        text = parquet.text_schema(source.names)
        schema = parquet.output_schema(text, columns)

        def encode(window: Window, answers: Answers) -> bytes:
            batch = parquet.text_batch([record.cells for record in window.payload], text)
            return parquet.encode_batches([batch], answers, columns, schema)

        return source, Encoder(b"", encode, functools.partial(parquet.assemble, schema=schema))
    dialect = tables.choose_dialect(read.kind, written.kind, quoting)
    return source, _text(
        tables.encode_header(source, columns, dialect),
        lambda window, answers: tables.encode_records(window.payload, answers, columns, dialect, source.end),
        written,
    )
