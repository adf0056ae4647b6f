"""The lines of a text input, with the hash of all that was read, by which a resumption knows its input again."""

import hashlib
import io
import os
import stat
import sys
from pathlib import Path
from typing import BinaryIO

from assay.annotate.compression import opened
from assay.annotate.formats import STANDARD, Compression
from assay.annotate.windows import State
from assay.errors import InputError

__all__ = ["Lines", "decoded"]

MAX_LINE = 64 << 20
"""Bytes that one line may have: without a bound, a file that has no line ends would be read whole."""
_CHUNK = 1 << 20


class Lines:
    """An input's lines. Only \\n ends one; the content is decompressed by the name's end.

    `name` is what errors call it, `total` the bytes of the file, None where they are not known.
    """

    def __init__(self, path: str, compression: Compression) -> None:
        """Open the file at `path`, or standard input for "-". Raises InputError where it cannot be."""
        self.name = "standard input" if path == STANDARD else path
        self._file: BinaryIO = _standard_input() if path == STANDARD else _open(path)
        self._content: io.BufferedReader = opened(self._file, compression, self.name)
        self._hash = hashlib.sha256()
        self.bytes = 0
        self.number = 0
        self._standard = path == STANDARD
        self.total = None if self._standard else _size(self._file)

    def next(self) -> bytes | None:
        """The next line with its end; None after the last. Raises InputError for a line above MAX_LINE bytes."""
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
        self._hash.update(line)
        self.bytes += len(line)
        self.number += 1
        return line

    @property
    def position(self) -> int:
        """How many bytes of the file were read, compressed as it is."""
        return self._file.tell() if self.total is not None else self.bytes

    def state(self, rows: int) -> State:
        """Where the input stands after `rows` rows."""
        return {
            "rows": rows,
            "lines": self.number,
            "bytes": self.bytes,
            "sha256": self._hash.hexdigest(),
            "position": self.position,
        }

    def skip_to(self, state: State) -> None:
        """Read on to `state`. Raises InputError unless all before it is what it was."""
        left = int(state["bytes"]) - self.bytes
        while left > 0 and (data := self._content.read(min(left, _CHUNK))):
            self._hash.update(data)
            left -= len(data)
        if left != 0 or self._hash.hexdigest() != state["sha256"]:
            raise InputError(
                f"{self.name}: changed within its first {state['bytes']:,} bytes, whose rows are annotated already; "
                "put the file back as it was, or start over with --force"
            )
        self.bytes, self.number = int(state["bytes"]), int(state["lines"])

    def close(self) -> None:
        if not self._standard:
            self._file.close()


def _standard_input() -> BinaryIO:
    found: BinaryIO | None = getattr(sys.stdin, "buffer", None)  # closed, or of a notebook
    if found is None:
        raise InputError("standard input gives no bytes, expected JSON lines on it; name a file")
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


def decoded(line: bytes, where: str, first: bool) -> str:
    """`line` as UTF-8, the first one without its byte order mark. Raises InputError that names the byte."""
    try:
        return line.decode("utf-8-sig" if first else "utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where}: byte 0x{line[error.start]:02x} at {error.start} is not UTF-8; convert the file to UTF-8"
        ) from None
