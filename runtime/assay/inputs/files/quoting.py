"""Whether double quotes in a table are text ("none") or quote cells as in RFC 4180 ("minimal").

A CSV file quotes cells. A TSV file may or may not, and no name tells: what pandas writes quotes a cell that contains a
quote, a tab or a line end, while in the TSV files of GLUE a line is a row and a quote is text. A wrong guess joins
rows or changes texts. So a TSV file is read once in advance, and quotes cells only if it does so consistently:

- Every quote is part of a quoted cell. A quote inside a cell that is not quoted, text after a closing quote, and a
  quote that is never closed show that quotes are text.
- A cell is quoted because it must be, or the header is quoted too, as where all cells are.
- Where quoted cells span lines, reading each line as a row finds more rows with a wrong number of cells.

Where these signs contradict each other, the caller has to say which it is.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from assay.errors import InputError
from assay.inputs.files.lines import Lines
from assay.inputs.files.names import BLANK, Format
from assay.inputs.validation import describe

__all__ = ["Quoting", "check_quoting", "choose_quoting", "refuse_unknown"]

Quoting = Literal["none", "minimal"]

_CHOICES: tuple[Quoting, ...] = ("none", "minimal")
_CELL = re.compile(rb'("[^"]*(?:""[^"]*)*"|[^"\t]*)(\t|\Z)')
_MOST_BYTES = 64 << 20  # of one record; a quote that is never closed would take the rest of the file
_ASK = "say which with --quoting none or --quoting minimal (in Python: quoting=...)"


def check_quoting(quoting: object) -> Quoting | None:
    """Return `quoting` if it is None or a way of quoting. Raises InputError for anything else."""
    for choice in _CHOICES:
        if quoting == choice:
            return choice
    if quoting is not None:
        found = repr(quoting) if isinstance(quoting, str) and len(quoting) <= 80 else describe(quoting)
        raise InputError(f"quoting is {found}, expected 'none' or 'minimal'")
    return None


def choose_quoting(path: str, file_format: Format, asked: Quoting | None) -> Quoting | None:
    """Return how the table at `path` quotes its cells.

    Args:
        path: The file, or "-" for standard input.
        file_format: Its format, a table.
        asked: What the caller says, if anything.

    Returns:
        None for a TSV that can be read only once, such as standard input: see `refuse_unknown`.

    Raises:
        InputError: The file cannot be read, or can be understood in both ways.
    """
    if asked is not None:
        return asked
    if file_format.kind == "csv":
        return "minimal"
    with Lines(path, file_format.compression, BLANK["tsv"]) as lines:
        return None if lines.total is None else _detect(lines)


def refuse_unknown(where: str) -> InputError:
    """Return the error of a cell that starts with a quote where `choose_quoting` returned None."""
    return InputError(
        f"{where}: a cell starts with a quote, which is text in some TSV files and quotes the cell in others; {_ASK}"
    )


@dataclass(slots=True)
class _Signs:
    """What the quoted cells of a file show.

    Attributes:
        lines: The first and the last line of the first record that spans lines.
        bad_rows: Rows with a wrong number of cells in records that span lines, if cells are quoted.
        bad_lines: The same if each line is a row.
        needed: Whether a cell that does not span lines could not be written without its quotes.
    """

    quoted: bool = False
    lines: tuple[int, int] | None = None
    bad_rows: int = 0
    bad_lines: int = 0
    needed: bool = False


def _detect(lines: Lines) -> Quoting:
    """Read a TSV and return how it quotes."""
    signs, columns, all_quoted = _Signs(), 0, False
    for first, record in _records(lines):
        cells = None if record is None else _split(record)
        if cells is None or record is None:
            return "none"
        if not columns:
            columns, all_quoted = len(cells), all(cell.startswith(b'"') for cell in cells)
        for cell in cells:
            if cell.startswith(b'"'):
                signs.quoted = True
                spans = b"\n" in cell
                needed = b'"' in cell[1:-1] or b"\t" in cell or b"\r" in cell or cells == [b'""']
                if not (spans or needed or all_quoted):
                    return "none"
                signs.needed |= needed and not spans
        if b"\n" in record:
            signs.lines = signs.lines or (first, lines.number)
            signs.bad_rows += len(cells) != columns
            signs.bad_lines += sum(line.count(b"\t") != columns - 1 for line in record.split(b"\n"))
    if signs.lines is None or all_quoted:
        return "minimal" if signs.quoted else "none"
    if signs.bad_lines > signs.bad_rows:
        return "minimal"
    if signs.needed or columns == 1:
        start, end = signs.lines
        raise InputError(
            f"{lines.name}, lines {start} to {end}: quotes make one row of these lines, but each could be a row as "
            f"well; {_ASK}"
        )
    return "none"


def _records(lines: Lines) -> Iterator[tuple[int, bytes | None]]:
    """Yield the header and every record with a quote, without its end, with the number of its first line.

    None stands for a record with an odd number of quotes, at the end or beyond _MOST_BYTES.
    """
    while (line := lines.next()) is not None:
        first, quotes = lines.number, line.count(b'"')
        if first == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        elif not quotes:
            continue
        record = bytearray(line)  # a list of short lines takes many times their bytes
        while quotes % 2:
            following = lines.next() if len(record) < _MOST_BYTES else None
            if following is None:
                yield first, None
                return
            record += following
            quotes += following.count(b'"')
        yield first, bytes(record).removesuffix(b"\n").removesuffix(b"\r")


def _split(record: bytes) -> list[bytes] | None:
    """Return the cells of a record with their quotes, or None where a quote is not part of a quoted cell."""
    cells, position = [], 0
    while (match := _CELL.match(record, position)) is not None:
        cells.append(match[1])
        if not match[2]:
            return cells
        position = match.end()
    return None
