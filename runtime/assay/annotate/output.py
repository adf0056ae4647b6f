"""Where annotated rows go: a file that appears under its name when it is complete, or standard output.

Beside a file OUTPUT lie, while it is made: .OUTPUT.partial, to which windows are appended; .OUTPUT.journal, how many of
its bytes count; .OUTPUT.lock, held by the process that writes. What is behind the journal's length may be torn, and is
cut off by the run that goes on. Where the finished file is not the partial one (Parquet, .zst), it is made from it as
.OUTPUT.assembled.
"""

import contextlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from assay.annotate.journal import Journal, changes, read_journal, sync_folder
from assay.annotate.windows import State
from assay.errors import AssayError, InputError
from assay.file_lock import exclusive_at_once

__all__ = ["Assemble", "FileOutput", "Output", "StandardOutput", "WriteError"]

SECONDS_BETWEEN_COMMITS = 1.0

Assemble = Callable[[BinaryIO, BinaryIO], None]
"""Makes the finished file, the second, from the partial one, the first."""


class WriteError(AssayError):
    """The output takes no more: a full disk, say."""


class Output(Protocol):
    """Where a run writes. `journal` is how far it is, also that of the run it goes on from.

    `kept` is how many rows a run that ends now leaves for the next one.
    """

    journal: Journal
    kept: int

    def append(
        self, chunk: bytes, rows: int = 0, failed: int = 0, tokens: int = 0, source: State | None = None
    ) -> None:
        """Add a window's bytes: `rows` rows of which `failed`, behind which the input stands at `source`."""

    def commit(self) -> None:
        """Make what was appended outlive this process and a loss of power."""

    def finish(self, assemble: Assemble | None) -> None:
        """Give the output its name: all rows are there."""


class StandardOutput:
    """Rows go out window by window, and none is kept."""

    def __init__(self) -> None:
        """Raises InputError where standard output is closed, or takes text alone as that of a notebook does."""
        out: BinaryIO | None = getattr(sys.stdout, "buffer", None)
        if out is None:
            raise InputError("standard output takes no bytes, expected it to; name a file")
        self._out = out
        self.kept = 0
        self.journal = Journal({}, replace=False)

    def append(
        self, chunk: bytes, rows: int = 0, failed: int = 0, tokens: int = 0, source: State | None = None
    ) -> None:
        self._out.write(chunk)
        self._out.flush()
        _count(self.journal, rows, failed, tokens, source)

    def commit(self) -> None:
        pass

    def finish(self, assemble: Assemble | None) -> None:
        pass


class FileOutput:
    """A file that is written beside its name. Use as a context manager, which holds the lock."""

    def __init__(self, target: Path, *, force: bool, resume: bool) -> None:
        """Lock `target`. Raises InputError where another process writes it, or what is there must not be touched."""
        self._target = target
        self._force = force
        self._partial, self._journal_path, self._assembled = (
            target.with_name(f".{target.name}.{end}") for end in ("partial", "journal", "assembled")
        )
        self._file: BinaryIO | None = None
        self._committed_at = 0.0
        self._fresh = False
        self.kept = 0
        self._stack = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            self._lock(stack)
            self._before = self._leftovers(resume)
            self.journal = self._before or Journal({}, replace=force)
            self.complete = self._is_complete()
            self._check_target()
            self._stack = stack.pop_all()

    def __enter__(self) -> "FileOutput":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # what does not fit on the disk was said already
                self._file.close()
        if self._fresh and self.journal.rows == 0 and self.journal.stage == "annotating":
            self._discard()  # no work is lost, and the next run need not be told so
        self._stack.close()

    def start(self, identity: dict[str, Any]) -> bool:
        """Open the partial output; True where it goes on from earlier rows. Raises InputError where it must not."""
        try:
            if self._before is not None:
                self._refuse_changes(self._before.identity, identity)
                if self._before.stage == "annotating":
                    self._file = self._reopened(self._before.length)
                self.kept = self._before.rows
                return True
            self._discard()
            self._fresh = True
            self.journal = Journal(identity, replace=self._force)
            self.journal.write(self._journal_path)
            self._file = self._partial.open("xb")
            return False
        except OSError as error:
            raise self._unwritable(error) from error

    def append(
        self, chunk: bytes, rows: int = 0, failed: int = 0, tokens: int = 0, source: State | None = None
    ) -> None:
        assert self._file is not None  # start() came before
        try:
            self._file.write(chunk)
        except OSError as error:
            raise self._unwritable(error) from error
        _count(self.journal, rows, failed, tokens, source)
        self.journal.length += len(chunk)
        if time.monotonic() - self._committed_at >= SECONDS_BETWEEN_COMMITS:
            self.commit()

    def commit(self) -> None:
        assert self._file is not None  # start() came before
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self.journal.write(self._journal_path)
        except OSError as error:
            raise self._unwritable(error) from error
        self._committed_at = time.monotonic()
        self.kept = self.journal.rows

    def finish(self, assemble: Assemble | None) -> None:
        """Raises InputError where somebody else made the output in the meantime."""
        try:
            if self.journal.stage == "annotating":
                self.commit()
                if assemble is not None:
                    self._assemble(assemble)
                self.journal.stage = "assembled"
                self.journal.write(self._journal_path)
            self._check_target()
            if assemble is not None:
                self._partial.unlink(missing_ok=True)
            if self._file is not None:
                self._file.close()
            finished = self._partial if assemble is None else self._assembled
            if finished.exists():
                finished.replace(self._target)
                sync_folder(self._target.parent)
            elif not self.complete:
                raise InputError(f"{finished}: is gone, and has all rows; put it back, or start over with --force")
            self._journal_path.unlink()
        except OSError as error:
            raise self._unwritable(error) from error

    def _lock(self, stack: contextlib.ExitStack) -> None:
        try:
            stack.enter_context(exclusive_at_once(self._target.with_name(f".{self._target.name}.lock")))
        except BlockingIOError:
            raise InputError(f"{self._target}: another process is writing it; wait for it, or name another") from None
        except OSError as error:
            raise InputError(f"{self._target}: cannot be written ({error}); check the folder") from error

    def _leftovers(self, resume: bool) -> Journal | None:
        """The journal to go on from. Raises InputError for one that nobody said what to do with."""
        if self._force and not resume:
            return None
        journal = read_journal(self._journal_path)
        if journal is None:
            if self._partial.exists():
                raise InputError(f"{self._partial}: is there without its journal; start over with --force")
            return None
        if journal.rows == 0 and journal.stage == "annotating":
            return None
        if not resume:
            raise InputError(
                f"{self._target}: an interrupted run left {journal.rows:,} rows; go on with --resume, or start over "
                "with --force"
            )
        return journal

    def _is_complete(self) -> bool:
        """Whether the run before ended between giving the output its name and forgetting how it was made."""
        return (
            self.journal.stage == "assembled"
            and self._target.exists()
            and not (self._partial.exists() or self._assembled.exists())
        )

    def _check_target(self) -> None:
        if not os.path.lexists(self._target):
            return
        if not self._target.is_file():  # also a link that leads nowhere
            raise InputError(f"{self._target}: is no regular file; give a file's name, or - for standard output")
        if not (self._force or self.journal.replace or self.complete):
            raise InputError(f"{self._target}: is there already; name another file, or replace it with --force")

    def _refuse_changes(self, before: dict[str, Any], now: dict[str, Any]) -> None:
        found = changes(before, now)
        if found:
            raise InputError(
                f"{self._target}: cannot go on, since {'; '.join(found)}; repeat the run as it was, or start over with "
                "--force"
            )

    def _reopened(self, length: int) -> BinaryIO:
        """The partial output, cut to the bytes that count."""
        if not self._partial.exists() or self._partial.stat().st_size < length:
            raise InputError(f"{self._partial}: has fewer than its {length:,} bytes; start over with --force")
        file = self._partial.open("r+b")
        file.truncate(length)
        file.seek(length)
        return file

    def _assemble(self, assemble: Assemble) -> None:
        with self._partial.open("rb") as partial, self._assembled.open("wb") as out:
            assemble(partial, out)
            out.flush()
            os.fsync(out.fileno())

    def _discard(self) -> None:
        fresh_journal = self._journal_path.with_name(self._journal_path.name + ".new")
        for path in (self._assembled, self._partial, fresh_journal, self._journal_path):
            path.unlink(missing_ok=True)

    def _unwritable(self, error: OSError) -> WriteError:
        return WriteError(f"{self._target}: cannot be written ({error}); make room or give it another place")


def _count(journal: Journal, rows: int, failed: int, tokens: int, source: State | None) -> None:
    journal.rows += rows
    journal.failed += failed
    journal.tokens += tokens
    journal.source = source or journal.source
