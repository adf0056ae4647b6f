"""What the name of a file says about its format and its compression."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from assay.errors import InputError
from assay.inputs.validation import describe

__all__ = ["BLANK", "STANDARD", "Compression", "FileKind", "Format", "check_standard", "name_input", "parse_name"]

FileKind = Literal["jsonl", "csv", "tsv", "txt", "parquet"]
Compression = Literal["", "gz", "zst"]

STANDARD = "-"
"""The name of standard input and of standard output."""

BLANK: dict[FileKind, bytes] = {"jsonl": b" \t\r\n", "csv": b"\r\n", "tsv": b"\r\n", "txt": b""}
"""The bytes of a blank line, which at the end of a file is no row. In plain text it is a row: the empty text."""

_KINDS: dict[str, FileKind] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "txt",
    ".parquet": "parquet",
}
_COMPRESSIONS: dict[str, Compression] = {".gz": "gz", ".zst": "zst"}


@dataclass(frozen=True, slots=True)
class Format:
    """How a file's rows are written, and how its bytes are compressed ("" for not at all)."""

    kind: FileKind
    compression: Compression


def parse_name(name: str, kinds: Sequence[FileKind], standard: FileKind = "jsonl") -> Format:
    """Return the format of the file `name`; "-" means `standard`.

    Raises:
        InputError: The name ends in none of the suffixes of `kinds`.
    """
    if name == STANDARD:
        return Format(standard, "")
    suffixes = [suffix.lower() for suffix in Path(name).suffixes]
    compression: Compression = _COMPRESSIONS.get(suffixes[-1], "") if suffixes else ""
    if compression:
        suffixes.pop()
    kind = _KINDS.get(suffixes[-1]) if suffixes else None
    if kind is None or kind not in kinds:
        end = "".join(Path(name).suffixes[-2:]) if compression else Path(name).suffix
        raise InputError(f"{name}: ends in {end!r}, expected {_list_suffixes(kinds)}")
    if kind == "parquet" and compression:
        raise InputError(f"{name}: Parquet compresses its own columns, expected .parquet without {Path(name).suffix}")
    return Format(kind, compression)


def check_standard(format: object, kinds: Sequence[FileKind], names: Sequence[str]) -> FileKind:
    """Return `format`, that of standard input and output, as one of `kinds`; None stands for JSON lines.

    Raises:
        InputError: It is another format, or none of the files `names` is "-".
    """
    if format is None:
        return "jsonl"
    possible = [kind for kind in kinds if kind != "parquet"]
    for kind in possible:
        if format == kind:
            if STANDARD not in names:
                raise InputError(f"format is {kind!r}, but it is for '-' only: {names[0]} tells its own by its name")
            return kind
    found = repr(format) if isinstance(format, str) and len(format) <= 80 else describe(format)
    raise InputError(f"format is {found}, expected {', '.join(possible[:-1])} or {possible[-1]}")


def name_input(path: str) -> str:
    """Return what errors call the input at `path`."""
    return "standard input" if path == STANDARD else path


def _list_suffixes(kinds: Sequence[FileKind]) -> str:
    text = [suffix for suffix, kind in _KINDS.items() if kind in kinds and kind != "parquet"]
    parquet = ", or .parquet" if "parquet" in kinds else ""
    return f"{', '.join(text[:-1])} or {text[-1]}, each also with .gz or .zst{parquet}, or - for standard input"
