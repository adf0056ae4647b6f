"""Brings a source and an output's format together: what the input keeps of its rows, to bytes of the output."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from assay.annotate.columns import Answers, Columns
from assay.annotate.compression import compress, join_frames
from assay.annotate.formats import Format
from assay.annotate.json_lines import JsonSource, encode_lines
from assay.annotate.lines import Lines
from assay.annotate.output import Assemble
from assay.annotate.shards import Shard
from assay.annotate.windows import Source, Window
from assay.inputs.validation import Kind

__all__ = ["Encoder", "connect"]


@dataclass(frozen=True, slots=True)
class Encoder:
    """`head`: the bytes before the first window. `encode`: a window's bytes, for which nothing but it counts.

    `assemble` makes the finished file from those bytes, where joining them is not enough.
    """

    head: bytes
    encode: Callable[[Window, Answers], bytes]
    assemble: Assemble | None = None


def connect(
    path: str,
    formats: tuple[Format, Format],
    fields: Sequence[str],
    kind: Kind,
    columns: Columns,
    shard: Shard,
) -> tuple[Source, Encoder]:
    """The input at `path` and the encoder of its rows, for the formats of input and output.

    Raises InputError where the input cannot be opened or its header lacks a field, InstallationError where a package is
    missing.
    """
    read, written = formats
    compress(b".", written.compression)  # a missing package shows before there is anything to lose
    if read.kind == "jsonl":
        source: Source = JsonSource(Lines(path, read.compression), fields, kind, columns, shard)
        return source, _text(b"", lambda window, answers: encode_lines(window.payload, answers, columns), written)
    if read.kind == "parquet":
        return _parquet(path, written, fields, kind, columns, shard)
    return _table(path, formats, fields, kind, columns, shard)


def _text(head: bytes, encode: Callable[[Window, Answers], bytes], written: Format) -> Encoder:
    compression = written.compression
    return Encoder(
        compress(head, compression),
        lambda window, answers: compress(encode(window, answers), compression),
        join_frames if compression == "zst" else None,
    )


def _parquet(
    path: str, written: Format, fields: Sequence[str], kind: Kind, columns: Columns, shard: Shard
) -> tuple[Source, Encoder]:
    from assay.annotate import parquet

    source = parquet.ParquetSource(path, fields, kind, columns, shard)
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


def _table(
    path: str,
    formats: tuple[Format, Format],
    fields: Sequence[str],
    kind: Kind,
    columns: Columns,
    shard: Shard,
) -> tuple[Source, Encoder]:
    from assay.annotate import tables

    read, written = formats
    source = tables.TableSource(
        Lines(path, read.compression), tables.DELIMITERS[read.kind], fields, kind, columns, shard
    )
    if written.kind == "jsonl":
        return source, _text(
            b"",
            lambda window, answers: tables.encode_records_as_lines(window.payload, answers, columns, source.header),
            written,
        )
    if written.kind == "parquet":
        from assay.annotate import parquet

        text = parquet.text_schema(source.header)
        schema = parquet.output_schema(text, columns)

        def encode(window: Window, answers: Answers) -> bytes:
            batch = parquet.text_batch([record.cells for record in window.payload], text)
            return parquet.encode_batches([batch], answers, columns, schema)

        return source, Encoder(b"", encode, functools.partial(parquet.assemble, schema=schema))
    delimiter, same = tables.DELIMITERS[written.kind], read.kind == written.kind
    return source, _text(
        tables.header_line(source, columns, delimiter, same),
        lambda window, answers: tables.encode_records(window.payload, answers, columns, delimiter, same, source.end),
        written,
    )
