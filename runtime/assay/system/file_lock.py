"""Lock files between processes and threads. The system releases a lock when its process ends, however it ends."""

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
    """Hold the lock on the file `path`. Waits for another process or thread that holds it.

    Args:
        path: The file. It is created if it does not exist, and stays.
        waiting_for: What the lock protects, for the message logged at INFO before waiting.

    Raises:
        OSError: The file cannot be created, or its file system does not support locks.
    """
    descriptor = _open(path)
    try:
        if not _try(descriptor):
            _LOG.info("waiting for another process or thread: %s", waiting_for)
            _wait(descriptor)
        yield
    finally:
        os.close(descriptor)  # releases the lock as well


@contextlib.contextmanager
def exclusive_at_once(path: Path) -> Iterator[None]:
    """Hold the lock on the file `path`, without waiting for it.

    Args:
        path: The file. It is created if it does not exist, and removed at the end.

    Raises:
        BlockingIOError: Another process or thread holds the lock.
        OSError: As `exclusive`.
    """
    descriptor = _open(path)
    try:
        while True:
            if not _try(descriptor):
                raise BlockingIOError(f"{path} is locked by another process or thread")
            # The previous holder may have removed the file after it was opened here. Then the lock protects nothing.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    break
            os.close(descriptor)
            descriptor = -1
            descriptor = _open(path)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # Windows cannot remove an open file; it is empty and can be reused
                path.unlink()
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)


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
