"""What the name of a file says about its format and its compression."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from assay.errors import InputError

__all__ = ["STANDARD", "Compression", "FileKind", "Format", "check_conversion", "format_of"]

FileKind = Literal["jsonl", "csv", "tsv", "parquet"]
Compression = Literal["", "gz", "zst"]

STANDARD = "-"
"""The name of standard input and of standard output."""

_KINDS: dict[str, FileKind] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}
_COMPRESSIONS: dict[str, Compression] = {".gz": "gz", ".zst": "zst"}
# A table has one set of columns, which lines of JSON need not have, and no place for what is nested.
_CONVERSIONS: dict[FileKind, tuple[FileKind, ...]] = {
    "jsonl": ("jsonl",),
    "csv": ("csv", "tsv", "jsonl", "parquet"),
    "tsv": ("tsv", "csv", "jsonl", "parquet"),
    "parquet": ("parquet", "jsonl"),
}
_EXPECTED = ".jsonl, .ndjson, .csv or .tsv, each also with .gz or .zst, or .parquet, or - for JSON lines"


@dataclass(frozen=True, slots=True)
class Format:
    """How a file's rows are written, and how its bytes are compressed ("" for not at all)."""

    kind: FileKind
    compression: Compression


def format_of(name: str) -> Format:
    """The format of the file `name`, "-" being JSON lines. Raises InputError for a name that says none."""
    if name == STANDARD:
        return Format("jsonl", "")
    suffixes = [suffix.lower() for suffix in Path(name).suffixes]
    compression: Compression = _COMPRESSIONS.get(suffixes[-1], "") if suffixes else ""
    if compression:
        suffixes.pop()
    kind = _KINDS.get(suffixes[-1]) if suffixes else None
    if kind is None:
        raise InputError(f"{name}: the name's end says no format, expected {_EXPECTED}")
    if kind == "parquet" and compression:
        raise InputError(f"{name}: is Parquet, which compresses its own columns, expected .parquet alone")
    return Format(kind, compression)


def check_conversion(source: str, target: str) -> tuple[Format, Format]:
    """The formats of both files. Raises InputError where rows of the one cannot be written as the other."""
    read, written = format_of(source), format_of(target)
    possible = _CONVERSIONS[read.kind]
    if written.kind not in possible:
        raise InputError(
            f"{target}: {read.kind} cannot be written as {written.kind}, expected an OUTPUT of "
            f"{' or '.join(f'.{kind}' for kind in possible)}; convert it afterwards"
        )
    return read, written
