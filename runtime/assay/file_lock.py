"""A lock between processes. The kernel lets go of it when the process that holds it ends, however it ends."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["exclusive", "exclusive_at_once"]

_LOG = logging.getLogger("assay")


@contextlib.contextmanager
def exclusive(path: Path, waiting_for: str) -> Iterator[None]:
    """Hold the lock of the file at `path`, which is made where it is not there. Waits, and says so at INFO.

    Raises OSError where the file cannot be made, or its file system knows no locks.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        if not _try(descriptor):
            _LOG.info("waiting for another process or thread: %s", waiting_for)
            _wait(descriptor)
        yield
    finally:
        os.close(descriptor)  # lets go of the lock as well


@contextlib.contextmanager
def exclusive_at_once(path: Path) -> Iterator[None]:
    """Hold the lock of the file at `path`, which is made, and removed at the end, without waiting for it.

    Raises BlockingIOError where another process or thread holds it, OSError as `exclusive`.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        if not _try(descriptor):
            os.close(descriptor)
            raise BlockingIOError(f"{path} is locked by another process")
        # Between opening and locking, who held it before may have removed the file: then this is the lock of nothing.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                break
        os.close(descriptor)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows removes no open file; it is empty, and serves the next run
            path.unlink()
        os.close(descriptor)


if sys.platform == "win32":
    import msvcrt
    import time

    def _try(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

    def _wait(descriptor: int) -> None:
        while not _try(descriptor):
            time.sleep(0.2)
else:
    import fcntl

    def _try(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _wait(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
