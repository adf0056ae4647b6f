"""Small helpers for files: bounded reading, and writing that survives a power failure."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["find_encoding_problem", "read_bounded", "sync_folder", "sync_tree", "to_text", "to_utf_8", "write_whole"]


def read_bounded(path: Path, most: int) -> bytes:
    """Return the content of a file that is expected to be small.

    Args:
        path: The file.
        most: The bytes that it may have.

    Raises:
        OSError: It cannot be read.
        ValueError: It has more bytes, or is something else than a regular file, whose content could have no end.
    """
    # Without O_NONBLOCK, opening a named pipe would wait for somebody who writes to it.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("is not a regular file")
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"has more than {most:,} bytes")
    return data


@contextlib.contextmanager
def write_whole(path: Path) -> Iterator[BinaryIO]:
    """Open a file that appears as `path`, and replaces what is there, once all of it was written and is on disk.

    Until then it has a hidden name in the same folder. Where the writer fails, it is removed and `path` stays as it is.

    Raises:
        OSError: It cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        sync_folder(path.parent)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def find_encoding_problem(path: str | os.PathLike[str]) -> str | None:
    """Return why `to_utf_8` cannot express the absolute form of `path`, or None."""
    try:
        to_utf_8(Path(path).absolute())
    except UnicodeError:
        return (
            f"{os.fspath(path)!a}: is a path with bytes that are not UTF-8, expected one in UTF-8, as ONNX Runtime "
            "takes it; rename the folder"
        )
    return None


def to_utf_8(path: str | os.PathLike[str]) -> str:
    """Return `path` for a library that encodes every str as UTF-8, as ONNX Runtime, pyarrow and JSON files do.

    The encoding of the process can be another: ASCII in the C locale, if Python's UTF-8 mode is off. Its str of a path
    then stands for other bytes, and has surrogates for those that the encoding lacks.

    Raises:
        UnicodeError: The name on disk is not UTF-8.
    """
    text = os.fspath(path)
    return text if text.isascii() else os.fsencode(text).decode("utf-8")


def to_text(argument: str) -> str:
    """Return an argument of the command line that is no path, also with characters that the process's encoding lacks.

    What is not UTF-8 either is returned as it is.
    """
    with contextlib.suppress(UnicodeError):
        if any("\udc80" <= character <= "\udcff" for character in argument):
            return os.fsencode(argument).decode("utf-8")
    return argument


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` survive a power failure, where the system can."""
    if os.name != "nt":  # Windows cannot open folders
        try:
            _sync(folder)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # some network file systems sync no folders
                raise


def sync_tree(folder: Path) -> None:
    """Make the files and folders below `folder`, and itself, survive a power failure."""
    for parent, _, names in os.walk(folder):
        for name in names:
            _sync(Path(parent, name))
        sync_folder(Path(parent))


def _sync(path: Path) -> None:
    # Windows syncs only what is open for writing.
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
