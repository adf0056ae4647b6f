"""What a selection needs of an input, whatever its format."""

from collections.abc import Container, Hashable, Iterator
from typing import BinaryIO, NamedTuple, Protocol

from assay.errors import InputError

__all__ = ["Key", "Rows"]


class Key(NamedTuple):
    """The score of a row, its group (None where rows are not grouped), and what errors call the row."""

    score: float
    group: Hashable
    where: str


class Rows(Protocol):
    """The rows of an input, which can be read more than once."""

    def keys(self) -> Iterator[Key | InputError]:
        """Yield the score and the group of each row, or why it has none.

        Raises:
            InputError: The input cannot be read, or lacks a column.
        """

    def copy(self, chosen: Container[int], out: BinaryIO) -> None:
        """Write the rows whose numbers, from 0, are among `chosen`."""
