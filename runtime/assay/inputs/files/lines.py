"""The lines of a file or of standard input, with their numbers."""

import os
import stat
import sys
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from assay.errors import InputError
from assay.inputs.files.compression import open_decompressed
from assay.inputs.files.names import STANDARD, Compression, name_input

__all__ = ["Lines", "decode_line"]

MAX_LINE = 64 << 20
"""Bytes that one line may have. Without a limit, a file that has no line ends would be read whole."""

_CHUNK = 1 << 20


class _Readable(Protocol):
    def readline(self, limit: int, /) -> bytes: ...
    def read(self, size: int, /) -> bytes: ...


class Lines:
    """The lines of an input; only \\n ends one. Use as a context manager, or call `close`.

    Attributes:
        name: What errors call the input.
        number: The number of the line that was read last, from 1.
        bytes: How many bytes of content were read.
        total: The size of the file in bytes, compressed as it is; None where it is not known.
    """

    def __init__(self, path: str, compression: Compression) -> None:
        """Open the file at `path`, or standard input for "-".

        Raises:
            InputError: The file cannot be opened.
        """
        self.name = name_input(path)
        self.number = 0
        self.bytes = 0
        self._standard = path == STANDARD
        self._file = _standard_input() if self._standard else _open(path)
        self._arriving = _ArrivingBytes(self._file) if self._standard else None
        self._content: _Readable = self._arriving or open_decompressed(self._file, compression, self.name)
        self.total = None if self._standard else _size(self._file)

    def next(self) -> bytes | None:
        """Return the next line with its end, or None after the last.

        Raises:
            InputError: The line is longer than MAX_LINE bytes, or the file cannot be read.
        """
        try:
            line = self._content.readline(MAX_LINE + 1)
        except OSError as error:
            raise InputError(f"{self.name}: cannot be read ({error}); check the file and its disk") from error
        if not line:
            return None
        if len(line) > MAX_LINE:
            raise InputError(
                f"{self.name}, line {self.number + 1}: is longer than {MAX_LINE >> 20} MiB, expected a row per line"
            )
        self.bytes += len(line)
        self.number += 1
        return line

    @property
    def ready(self) -> bool:
        """Whether the next line can be read without waiting for whoever writes to standard input."""
        return self._arriving is None or self._arriving.has_line

    @property
    def where(self) -> str:
        """The line that was read last, as errors name it."""
        return f"{self.name}, line {self.number}"

    @property
    def position(self) -> int:
        """How many bytes of the file were read, compressed as it is."""
        return self._file.tell() if self.total is not None else self.bytes

    def close(self) -> None:
        """Close the file. Standard input stays open."""
        if not self._standard:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _ArrivingBytes:
    """Standard input by what has arrived: it knows whether a whole line is there."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._data = bytearray()
        self._searched = 0  # bytes of the data known to have no line end
        self._end = False

    @property
    def has_line(self) -> bool:
        """Whether a line, or the end of the input, has arrived."""
        return self._end or self._data.find(b"\n", self._searched) >= 0

    def readline(self, limit: int, /) -> bytes:
        """Return the next line, or what there is of it at the end or beyond `limit` bytes. Waits for it."""
        while (end := self._data.find(b"\n", self._searched)) < 0:
            self._searched = len(self._data)
            if self._searched >= limit or not self._receive():
                return self._take(min(self._searched, limit))
        return self._take(min(end + 1, limit))

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none at the end. Waits for the first."""
        if not self._data:
            self._receive()
        return self._take(min(size, len(self._data)))

    def _receive(self) -> bool:
        """Wait for more bytes. Returns False at the end of the input."""
        chunk = b"" if self._end else self._file.read1(_CHUNK)  # type: ignore[attr-defined]  # of BufferedReader
        self._data += chunk
        self._end = not chunk
        return bool(chunk)

    def _take(self, count: int) -> bytes:
        taken = bytes(self._data[:count])
        del self._data[:count]
        self._searched = 0
        return taken


def decode_line(line: bytes, where: str, first: bool) -> str:
    """Decode `line` as UTF-8, the first line of a file without its byte order mark.

    Raises:
        InputError: A byte is not UTF-8. The message names `where` and the byte.
    """
    try:
        return line.decode("utf-8-sig" if first else "utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where}: byte 0x{line[error.start]:02x} at {error.start} is not UTF-8; convert the file to UTF-8"
        ) from None


def _standard_input() -> BinaryIO:
    found: BinaryIO | None = getattr(sys.stdin, "buffer", None)  # absent where it is closed, and in a notebook
    if found is None:
        raise InputError("standard input has no bytes to read, expected JSON lines on it; name a file")
    return found


def _size(file: BinaryIO) -> int | None:
    """The bytes of a regular file; a pipe has no length."""
    status = os.fstat(file.fileno())
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _open(path: str) -> BinaryIO:
    try:
        return Path(path).open("rb")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); check the path and its permissions") from error
