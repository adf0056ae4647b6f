"""The lines of a file or of standard input, with their numbers."""

import io
import os
import re
import stat
import sys
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from assay.errors import InputError
from assay.inputs.files.compression import open_decompressed
from assay.inputs.files.names import STANDARD, Compression, name_input

__all__ = ["Lines", "decode_line"]

MAX_LINE = 64 << 20
"""Bytes that one line may have. Without a limit, a file that has no line ends would be read whole."""

_CHUNK = 1 << 20
_MOST_AHEAD = 1_000  # blank lines that are read ahead to find out whether anything follows them

_CONVERT = "convert the file to UTF-8"
# How files begin that are something else than their names say.
_OTHER_STARTS = (
    (b"\x1f\x8b", "it is gzip: decompress it, or let the name of the file end in .gz"),
    (b"\x28\xb5\x2f\xfd", "it is Zstandard: decompress it, or let the name of the file end in .zst"),
    (b"\xff\xfe", "it is UTF-16: convert the file to UTF-8"),
    (b"\xfe\xff", "it is UTF-16: convert the file to UTF-8"),
)


class _Readable(Protocol):
    def readline(self, limit: int, /) -> bytes: ...
    def read(self, size: int, /) -> bytes: ...


class Lines:
    """The lines of an input; only \\n ends one. Use as a context manager, or call `close`.

    Blank lines at the end of the input, as editors and shells leave them, are not among its lines.

    Attributes:
        name: What errors call the input.
        number: The number of the line that was read last, from 1.
        bytes: How many bytes of content were read.
        total: The size of the file in bytes, compressed as it is; None where it is not known.
    """

    def __init__(self, path: str, compression: Compression, blank: bytes = b"") -> None:
        """Open the file at `path`, or standard input for "-".

        Args:
            path: The file.
            compression: How its bytes are compressed.
            blank: The bytes that a blank line consists of. Without them there are no blank lines: an empty one counts.

        Raises:
            InputError: The file cannot be opened.
        """
        self.name = name_input(path)
        self.number = 0
        self.bytes = 0
        self._blank = blank
        self._ahead: deque[bytes] = deque()  # lines that were read to see what follows a blank one
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
        line = self._ahead.popleft() if self._ahead else self._read()
        if line is None or (self._is_blank(line) and self._is_rest_blank()):
            return None
        self.bytes += len(line)
        self.number += 1
        return line

    @property
    def ready(self) -> bool:
        """Whether the next line can be read without waiting for whoever writes to standard input."""
        return self._arriving is None or bool(self._ahead) or self._arriving.has_line(self._blank)

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

    def _read(self) -> bytes | None:
        """Read a line from the file."""
        try:
            line = self._content.readline(MAX_LINE + 1)
        except OSError as error:
            raise InputError(f"{self.name}: cannot be read ({error}); check the file and its disk") from error
        if len(line) > MAX_LINE:
            number = self.number + len(self._ahead) + 1
            raise InputError(
                f"{self.name}, line {number}: is longer than {MAX_LINE >> 20} MiB, expected a row per line"
            )
        return line or None

    def _is_blank(self, line: bytes) -> bool:
        return bool(self._blank) and not line.strip(self._blank)

    def _is_rest_blank(self) -> bool:
        """Whether only blank lines follow the last one that was taken. Reads ahead up to one that is not blank."""
        if self._ahead and not self._is_blank(self._ahead[-1]):
            return False
        while len(self._ahead) < _MOST_AHEAD:
            line = self._read()
            if line is None:
                self._ahead.clear()
                return True
            self._ahead.append(line)
            if not self._is_blank(line):
                return False
        return False


class _ArrivingBytes:
    """Standard input by what has arrived: it knows whether a whole line is there."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self._data = bytearray()
        self._searched = 0  # bytes of the data known to have no line end
        self._end = False

    def has_line(self, blank: bytes) -> bool:
        """Whether the end of the input has arrived, or a line that does not consist of `blank` bytes alone."""
        start = self._searched
        if blank and (found := re.search(b"[^" + re.escape(blank) + b"]", self._data)) is not None:
            start = max(start, found.start())
        elif blank:
            return self._end
        return self._end or self._data.find(b"\n", start) >= 0

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
        chunk = b"" if self._end else self._file.read1(_CHUNK)
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
        InputError: A byte is not UTF-8, or the line looks like UTF-16. The message names `where` and the byte.
    """
    try:
        text = line.decode("utf-8-sig" if first else "utf-8")
    except UnicodeDecodeError as error:
        remedy = next((words for start, words in _OTHER_STARTS if first and line.startswith(start)), _CONVERT)
        raise InputError(f"{where}: byte 0x{line[error.start]:02x} at {error.start} is not UTF-8; {remedy}") from None
    if b"\0" in line and _looks_like_utf16(line):
        raise InputError(f"{where}: found NUL bytes where UTF-16 has them, expected UTF-8; {_CONVERT}")
    return text


def _looks_like_utf16(line: bytes) -> bool:
    """Whether `line` has NUL bytes where UTF-16 without a mark has them. It often is valid UTF-8, Cyrillic included.

    In UTF-16 a line feed is \\n\\0 or \\0\\n, so a NUL ends or starts all lines but the first or the last; and most
    letters of Latin script have one. A NUL within a line of UTF-8 is a character like any other.
    """
    count = line.count(b"\0")
    return line.startswith(b"\0") or line.rstrip(b"\r\n").endswith(b"\0") or (count > 1 and 4 * count >= len(line))


def _standard_input() -> io.BufferedReader:
    found: io.BufferedReader | None = getattr(sys.stdin, "buffer", None)  # absent where it is closed, and in a notebook
    if found is None:
        raise InputError("standard input has no bytes to read, expected JSON lines on it; name a file")
    return found


def _size(file: io.BufferedReader) -> int | None:
    """The bytes of a regular file; a pipe has no length."""
    status = os.fstat(file.fileno())
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _open(path: str) -> io.BufferedReader:
    try:
        return Path(path).open("rb")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); check the path and its permissions") from error
