"""Reads compressed files: gzip with the standard library, Zstandard with the extra "zstd"."""

import gzip
import io
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from assay.errors import InputError
from assay.inputs.files.names import Compression
from assay.optional_packages import require

__all__ = ["decompress_zstd", "open_decompressed", "require_zstandard"]

_CHUNK = 1 << 17
_PIECE = 1 << 10  # the content of one piece is in memory at once, and may be 32,768 times as long


def require_zstandard() -> Any:
    """Return the module zstandard. Raises InstallationError where it is missing."""
    return require("zstandard", "'assay[zstd]'", "a .zst file")


def open_decompressed(file: io.BufferedReader, compression: Compression, name: str) -> io.BufferedReader:
    """Return the content of `file`. Reading it raises InputError where it is damaged or cut short."""
    if compression == "gz":
        return io.BufferedReader(_Chunks(_decompress_gzip(file, name)), _CHUNK)
    if compression == "zst":
        require_zstandard()
        return io.BufferedReader(_Chunks(decompress_zstd(file, name)), _CHUNK)
    return file


def decompress_zstd(file: BinaryIO, name: str) -> Iterator[bytes]:
    """Yield the content of one Zstandard frame after the other.

    The stream_reader of python-zstandard (0.25) takes a frame that is cut short for a complete one, and
    ZstdDecompressor.decompress returns the first of several frames without a warning.
    """
    zstandard = require_zstandard()
    decompressor, data, open_frame = zstandard.ZstdDecompressor().decompressobj(), b"", True
    try:
        while data := data or file.read(_PIECE):
            open_frame = True
            if content := decompressor.decompress(data):
                yield content
            data = b""
            if decompressor.eof:
                data, open_frame = decompressor.unused_data, False
                decompressor = zstandard.ZstdDecompressor().decompressobj()
    except zstandard.ZstdError as error:
        raise InputError(f"{name}: is damaged as zstd ({error}); copy it again") from None
    if open_frame:  # also where there is no frame at all
        raise InputError(f"{name}: is cut short as zstd, its last frame has no end; copy it again")


def _decompress_gzip(file: io.BufferedReader, name: str) -> Iterator[bytes]:
    try:
        if not file.peek(1):
            raise EOFError("it is empty")  # gzip writes a header even for no content
        with gzip.GzipFile(fileobj=file) as content:
            while data := content.read(_CHUNK):
                yield data
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{name}: is damaged or cut short as gzip ({error}); copy it again") from None


class _Chunks(io.RawIOBase):
    """An iterator of bytes as a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
