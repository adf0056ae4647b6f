"""Which formats annotate reads and writes, and which input can be written as which output."""

from assay.errors import InputError
from assay.inputs.files.names import FileKind, Format, check_standard, parse_name

__all__ = ["check_conversion"]

_KINDS: tuple[FileKind, ...] = ("jsonl", "csv", "tsv", "parquet")
# A table has one set of columns, which lines of JSON need not have, and no place for nested values.
_CONVERSIONS: dict[FileKind, tuple[FileKind, ...]] = {
    "jsonl": ("jsonl",),
    "csv": ("csv", "tsv", "jsonl", "parquet"),
    "tsv": ("tsv", "csv", "jsonl", "parquet"),
    "parquet": ("parquet", "jsonl"),
}


def check_conversion(source: str, target: str, format: object = None) -> tuple[Format, Format]:
    """Return the formats of both files; `format` is that of "-".

    Raises:
        InputError: The rows of `source` cannot be written as `target`, or a name does not tell its format.
    """
    standard = check_standard(format, _KINDS, (source, target))
    read, written = parse_name(source, _KINDS, standard), parse_name(target, _KINDS, standard)
    possible = _CONVERSIONS[read.kind]
    if written.kind not in possible:
        raise InputError(
            f"{target}: {read.kind} cannot be written as {written.kind}, expected an OUTPUT of "
            f"{' or '.join(f'.{kind}' for kind in possible)}; convert it afterwards"
        )
    return read, written
