"""What a run writes to: a protocol for files and standard output."""

import sys
from collections.abc import Callable
from typing import BinaryIO, Protocol

from assay.annotate.output.journal import Journal
from assay.annotate.windows import State
from assay.errors import AssayError, InputError

__all__ = ["Assemble", "Output", "StandardOutput", "WriteError"]

Assemble = Callable[[BinaryIO, BinaryIO], None]
"""Makes the finished file, the second argument, from the partial one, the first."""


class WriteError(AssayError):
    """The output takes no more bytes, for example because the disk is full."""


class Output(Protocol):
    """Where a run writes.

    Attributes:
        journal: How far the run is, with what an earlier run did that it goes on from.
        kept: How many rows a later run could go on from if this one ended now.
    """

    journal: Journal
    kept: int

    def append(
        self, chunk: bytes, rows: int = 0, failed: int = 0, tokens: int = 0, source: State | None = None
    ) -> None:
        """Add the bytes of a window of `rows` rows, `failed` of which failed; the input stands at `source` then."""

    def commit(self) -> None:
        """Make what was appended survive the end of this process and a power failure."""

    def finish(self, assemble: Assemble | None) -> None:
        """Put the output under its name: all rows are there."""


class StandardOutput:
    """Writes every window at once and keeps none."""

    def __init__(self) -> None:
        """Take standard output.

        Raises:
            InputError: It is closed, or takes only text as in a notebook.
        """
        out: BinaryIO | None = getattr(sys.stdout, "buffer", None)
        if out is None:
            raise InputError("standard output takes no bytes; name a file as OUTPUT")
        self._out = out
        self.kept = 0
        self.journal = Journal({}, replace=False)

    def append(
        self, chunk: bytes, rows: int = 0, failed: int = 0, tokens: int = 0, source: State | None = None
    ) -> None:
        self._out.write(chunk)
        self._out.flush()
        self.journal.count(rows, failed, tokens, source)

    def commit(self) -> None:
        pass

    def finish(self, assemble: Assemble | None) -> None:
        pass
