"""Windows: the runs of rows that are answered, written and committed together.

A window ends after ROWS rows, or after the row that takes it to BYTES of input, so windows of a file that start at the
same row end at the same row. The last bits of an answer may depend on the other rows of its window, so this rule is why
a resumed run writes the same bytes. On standard input, which cannot be resumed, a window also ends where the next line
has not arrived yet.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from assay.errors import AssayError
from assay.inputs.validation import Row

__all__ = ["BYTES", "ROWS", "Source", "State", "Window", "WindowBuilder"]

ROWS = 1_024
BYTES = 8 << 20

State = dict[str, int | str]
"""Where an input stands, as the journal keeps it: "rows" is how many rows of the input were read, of any shard, and
"position" how far that is, in the unit of Source.total."""


@dataclass(slots=True)
class Window:
    """Consecutive rows of the shard.

    Attributes:
        wheres: What errors call each row.
        rows: The text or pair of each row, or why it has none.
        payload: What the source keeps of the rows for the encoder.
        state: Where the input stands after them.
        position: How far that is for the progress, in the unit of Source.total.
    """

    wheres: list[str]
    rows: list[Row | AssayError]
    payload: list[Any]
    state: State
    position: int


class Source(Protocol):
    """An input. `total` is its length in bytes, for Parquet in rows; None where it is not known."""

    total: int | None

    def identity(self) -> dict[str, Any]:
        """Return what, in addition to the state, must not change between a run and its resumption."""

    def windows(self, state: State | None) -> Iterator[Window]:
        """Yield the windows from `state` on, or from the start.

        Raises:
            InputError: The input before `state` changed, or cannot be read.
        """

    def close(self) -> None:
        """Close the file."""


@dataclass(slots=True)
class WindowBuilder:
    """Collects a window. If `strict`, `add` raises the first row that is an error."""

    strict: bool
    wheres: list[str] = field(default_factory=list)
    rows: list[Row | AssayError] = field(default_factory=list)
    payload: list[Any] = field(default_factory=list)
    size: int = 0

    def add(self, where: str, row: Row | AssayError) -> None:
        """Add a row, or why it is none."""
        if self.strict and isinstance(row, AssayError):
            raise row
        self.wheres.append(where)
        self.rows.append(row)

    def keep(self, payload: Any, size: int) -> None:
        """Keep what the encoder needs of rows that were added, `size` bytes of input."""
        self.payload.append(payload)
        self.size += size

    @property
    def room(self) -> int:
        """How many more rows fit; 0 where the window must end."""
        return 0 if self.size >= BYTES else ROWS - len(self.rows)

    def take(self, state: State, position: int) -> Window:
        """Return the window and start an empty one."""
        window = Window(self.wheres, self.rows, self.payload, state, position)
        self.wheres, self.rows, self.payload, self.size = [], [], [], 0
        return window
