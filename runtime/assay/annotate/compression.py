"""Compressed bytes in and out: gzip of the standard library, zstandard of the extra "zstd".

While a run lasts, every window is a gzip member or a Zstandard frame of its own, so that a run can stop after any of
them and another can append. RFC 1952, 2.2 has a file of several members mean their contents joined, and readers do so.
RFC 8878, 3 says the same of frames, but ZstdDecompressor.decompress of python-zstandard (0.25) gives the first frame
alone, without a word. So the frames are joined into one when all rows are there.
"""

import gzip
import io
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from assay.annotate.formats import Compression
from assay.errors import InputError
from assay.optional_packages import require

__all__ = ["compress", "join_frames", "opened"]

_CHUNK = 1 << 17
_PIECE = 1 << 10  # what one call makes of a piece is held at once, and may be 32,768 times as much
_LEVEL = 3  # zstd's own default


def _zstandard() -> Any:
    return require("zstandard", "'assay[zstd]'", "a .zst file")


def compress(data: bytes, compression: Compression) -> bytes:
    """`data` as a member or a frame of its own. Depends on nothing but `data`."""
    if not compression:
        return data
    if compression == "gz":
        return gzip.compress(data, compresslevel=6, mtime=0)
    frame: bytes = _zstandard().ZstdCompressor(level=_LEVEL, write_checksum=True).compress(data)
    return frame


def join_frames(frames: BinaryIO, out: BinaryIO) -> None:
    """Write what the file `frames` of Zstandard frames holds to `out`, as one frame."""
    compressor = _zstandard().ZstdCompressor(level=_LEVEL, write_checksum=True).compressobj()
    for data in _decompressed_zst(frames, "the partial output"):
        out.write(compressor.compress(data))
    out.write(compressor.flush())


def opened(file: BinaryIO, compression: Compression, name: str) -> io.BufferedReader:
    """The content of `file`. Reading raises InputError where it is damaged or cut short."""
    if compression == "gz":
        return io.BufferedReader(_Chunks(_decompressed_gz(file, name)), _CHUNK)
    if compression == "zst":
        _zstandard()
        return io.BufferedReader(_Chunks(_decompressed_zst(file, name)), _CHUNK)
    return _buffered(file)


def _buffered(file: BinaryIO) -> io.BufferedReader:
    return file if isinstance(file, io.BufferedReader) else io.BufferedReader(file)  # type: ignore[arg-type]


def _decompressed_gz(file: BinaryIO, name: str) -> Iterator[bytes]:
    buffered = _buffered(file)
    try:
        if not buffered.peek(1):
            raise EOFError("it is empty")  # gzip has a header also for no content
        with gzip.GzipFile(fileobj=buffered) as content:
            while data := content.read(_CHUNK):
                yield data
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{name}: is damaged or cut short as gzip ({error}); copy it again") from None


def _decompressed_zst(file: BinaryIO, name: str) -> Iterator[bytes]:
    """Frame after frame. The library's own stream_reader takes a frame that is cut short for its end."""
    zstandard = _zstandard()
    decompressor, data, begun = zstandard.ZstdDecompressor().decompressobj(), b"", True
    try:
        while data := data or file.read(_PIECE):
            begun = True  # a frame, of which there has to be one
            if content := decompressor.decompress(data):
                yield content
            data = b""
            if decompressor.eof:
                data, begun = decompressor.unused_data, False
                decompressor = zstandard.ZstdDecompressor().decompressobj()
    except zstandard.ZstdError as error:
        raise InputError(f"{name}: is damaged as zstd ({error}); copy it again") from None
    if begun:
        raise InputError(f"{name}: is cut short as zstd, its last frame has no end; copy it again")


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
