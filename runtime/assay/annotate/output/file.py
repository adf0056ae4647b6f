"""A file of annotated rows that appears under its name when it is complete.

While OUTPUT is being made, its folder has these files: .OUTPUT.partial, to which windows are appended; .OUTPUT.journal,
which says how many of its bytes count, with their hash; .OUTPUT.lock, held by the process that writes. Bytes beyond the
journal's length may be incomplete, so a run that goes on truncates them. Where the finished file differs from the
partial one (Parquet, .zst), it is made from it as .OUTPUT.assembled.
"""

import contextlib
import hashlib
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from assay.annotate.output.destination import Assemble, WriteError
from assay.annotate.output.journal import Journal, list_changes, read_journal
from assay.annotate.windows import State
from assay.errors import InputError
from assay.files import sync_folder
from assay.system.file_lock import exclusive_at_once

__all__ = ["FileOutput"]

SECONDS_BETWEEN_COMMITS = 1.0

_CHUNK = 1 << 20


class FileOutput:
    """A file that is written under a hidden name. Use as a context manager, which keeps the file locked."""

    def __init__(self, target: Path, *, force: bool, resume: bool) -> None:
        """Lock `target`.

        Raises:
            InputError: Another process writes it, or an existing file must not be replaced.
        """
        self._target = target
        self._force = force
        self._partial, self._journal_path, self._assembled = (
            target.with_name(f".{target.name}.{end}") for end in ("partial", "journal", "assembled")
        )
        self._file: BinaryIO | None = None
        self._committed_at = 0.0
        self._fresh = False
        self._hash = hashlib.sha256()  # of the bytes in the partial output that count
        self.kept = 0
        self._stack = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            self._lock(stack)
            self._before = self._find_journal(resume)
            self.journal = self._before or Journal({}, replace=force)
            self.complete = self._is_complete()
            self._check_target()
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # a full disk was reported already
                self._file.close()
        if self._fresh and self.journal.rows == 0 and self.journal.stage == "annotating":
            self._discard()  # no rows are lost, so the next run needs no --resume
        self._stack.close()

    def start(self, identity: dict[str, Any]) -> bool:
        """Open the partial output, and return whether it goes on from the rows of an earlier run.

        Raises:
            InputError: The earlier run had other options or another input.
        """
        try:
            if self._before is not None:
                self._refuse_changes(self._before.identity, identity)
                if self._before.stage == "annotating":
                    self._file = self._reopen(self._before)
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
        self.journal.count(rows, failed, tokens, source)
        self.journal.length += len(chunk)
        self._hash.update(chunk)
        if time.monotonic() - self._committed_at >= SECONDS_BETWEEN_COMMITS:
            self.commit()

    def commit(self) -> None:
        assert self._file is not None  # start() came before
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self.journal.sha256 = self._hash.hexdigest()
            self.journal.write(self._journal_path)
        except OSError as error:
            raise self._unwritable(error) from error
        self._committed_at = time.monotonic()
        self.kept = self.journal.rows

    def finish(self, assemble: Assemble | None) -> None:
        """Raise InputError where the output was made by someone else in the meantime, or changed since it was made."""
        try:
            if self.journal.stage == "annotating":
                self.commit()
                if assemble is not None:
                    self._assemble(assemble)
                self.journal.stage = "assembled"
                self.journal.write(self._journal_path)
            else:
                self._check_finished(self._partial if assemble is None else self._assembled)
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
                raise InputError(f"{finished}: is missing, and had all rows; restore it, or start over with --force")
            self._journal_path.unlink()
        except OSError as error:
            raise self._unwritable(error) from error

    def _lock(self, stack: contextlib.ExitStack) -> None:
        try:
            stack.enter_context(exclusive_at_once(self._target.with_name(f".{self._target.name}.lock")))
        except BlockingIOError:
            raise InputError(
                f"{self._target}: another process is writing it; wait for it, or name another file"
            ) from None
        except OSError as error:
            raise InputError(f"{self._target}: cannot be written ({error}); check the folder") from error

    def _find_journal(self, resume: bool) -> Journal | None:
        """Return the journal to go on from. Raises InputError unless the options say what to do with one."""
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
        """Whether the earlier run ended after it had renamed the output and before it had removed the journal."""
        return (
            self.journal.stage == "assembled"
            and self._target.exists()
            and not (self._partial.exists() or self._assembled.exists())
        )

    def _check_target(self) -> None:
        if not os.path.lexists(self._target):
            return
        if not self._target.is_file():  # also a link without a target
            raise InputError(f"{self._target}: is not a regular file; name a file, or - for standard output")
        if not (self._force or self.journal.replace or self.complete):
            raise InputError(f"{self._target}: exists already; name another file, or replace it with --force")

    def _refuse_changes(self, before: dict[str, Any], now: dict[str, Any]) -> None:
        found = list_changes(before, now)
        if found:
            raise InputError(
                f"{self._target}: cannot go on because {'; '.join(found)}; repeat the run with the same options, "
                "or start over with --force"
            )

    def _reopen(self, journal: Journal) -> BinaryIO:
        """Open the partial output, check the bytes that count, and truncate it to them."""
        if not self._partial.exists() or self._partial.stat().st_size < journal.length:
            raise InputError(f"{self._partial}: has fewer than its {journal.length:,} bytes; start over with --force")
        file = self._partial.open("r+b")
        try:
            self._hash = _hash(file, journal.length)
            self._check_hash(self._partial, self._hash.hexdigest())
            file.truncate(journal.length)
            file.seek(journal.length)
        except BaseException:
            file.close()
            raise
        return file

    def _check_finished(self, finished: Path) -> None:
        """Check the file that an earlier run completed. Under which name it is depends on when that run ended."""
        path = finished if finished.exists() else self._target
        if path is self._target and not self.complete:
            return  # finish() says that it is missing
        with path.open("rb") as file:
            self._check_hash(path, hashlib.file_digest(file, "sha256").hexdigest())

    def _check_hash(self, path: Path, found: str) -> None:
        expected = self.journal.sha256
        if found != expected:
            raise InputError(
                f"{path}: changed since it was written, the sha256 of its {self.journal.length:,} bytes is "
                f"{found[:12]}..., expected {expected[:12]}...; start over with --force"
            )

    def _assemble(self, assemble: Assemble) -> None:
        with self._partial.open("rb") as partial, self._assembled.open("w+b") as out:
            assemble(partial, out)
            out.flush()
            os.fsync(out.fileno())
            self.journal.length = out.seek(0, os.SEEK_END)
            out.seek(0)
            self.journal.sha256 = hashlib.file_digest(out, "sha256").hexdigest()

    def _discard(self) -> None:
        fresh_journal = self._journal_path.with_name(self._journal_path.name + ".new")
        for path in (self._assembled, self._partial, fresh_journal, self._journal_path):
            path.unlink(missing_ok=True)

    def _unwritable(self, error: OSError) -> WriteError:
        return WriteError(f"{self._target}: cannot be written ({error}); free some space, or choose another place")


def _hash(file: BinaryIO, length: int) -> "hashlib._Hash":
    """Return the SHA-256 of the first `length` bytes of a file, to be continued."""
    digest = hashlib.sha256()
    while length > 0 and (data := file.read(min(length, _CHUNK))):
        digest.update(data)
        length -= len(data)
    return digest
