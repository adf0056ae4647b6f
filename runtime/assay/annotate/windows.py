"""Windows: the runs of rows that are answered, written and committed together.

A window ends after ROWS rows, or after the row that takes it to BYTES of input, and so at the same rows whenever it
starts at the same row. An answer may depend on the rows of its window in its last bits, so that is what makes a
resumed run give the same bytes.
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
"""Where an input stands, as the journal keeps it; "rows" is how many rows of the input were read, of any
shard, "position" how far that is as Source.total counts."""


@dataclass(slots=True)
class Window:
    """Consecutive rows of the shard: `rows[i]` is what row i asks, or why it cannot be asked; `wheres[i]` names it.

    `payload` is what the source keeps of the rows for the encoder. `state` is where the input stands behind them,
    `position` how far that is for the progress, as Source.total counts.
    """

    wheres: list[str]
    rows: list[Row | AssayError]
    payload: list[Any]
    state: State
    position: int


class Source(Protocol):
    """An input that is being read. `total` is its length in bytes, of Parquet in rows; None where it is not known."""

    total: int | None

    def identity(self) -> dict[str, Any]:
        """What must not change between a run and its resumption beyond the state."""

    def windows(self, state: State | None) -> Iterator[Window]:
        """The windows from `state` on, or from the start. Raises InputError where the input before it changed."""

    def close(self) -> None: ...


@dataclass(slots=True)
class WindowBuilder:
    """Collects a window. With `strict` the first row that cannot be asked is raised."""

    strict: bool
    wheres: list[str] = field(default_factory=list)
    rows: list[Row | AssayError] = field(default_factory=list)
    payload: list[Any] = field(default_factory=list)
    size: int = 0

    def add(self, where: str, row: Row | AssayError) -> None:
        if self.strict and isinstance(row, AssayError):
            raise row
        self.wheres.append(where)
        self.rows.append(row)

    def keep(self, payload: Any, size: int) -> None:
        """Keep what the encoder needs, which is `size` bytes of input."""
        self.payload.append(payload)
        self.size += size

    @property
    def room(self) -> int:
        """How many more rows fit: 0 where the window has to end."""
        return 0 if self.size >= BYTES else ROWS - len(self.rows)

    def take(self, state: State, position: int) -> Window:
        """The window, after which this is empty."""
        window = Window(self.wheres, self.rows, self.payload, state, position)
        self.wheres, self.rows, self.payload, self.size = [], [], [], 0
        return window
