"""Compresses the output: gzip with the standard library, Zstandard with the extra "zstd".

While a run lasts, every window is a gzip member or a Zstandard frame, so that a run can stop after any of them and
another run can append. RFC 1952, 2.2 says that a file of several members means their contents joined, and readers
follow it. RFC 8878, 3 says the same of frames, but ZstdDecompressor.decompress of python-zstandard (0.25) returns only
the first frame, without a warning. So the frames are joined into one when all rows are there.
"""

import gzip
from typing import BinaryIO

from assay.inputs.files.compression import decompress_zstd, require_zstandard
from assay.inputs.files.names import Compression

__all__ = ["compress", "join_frames"]

_LEVEL = 3  # zstd's own default


def compress(data: bytes, compression: Compression) -> bytes:
    """Return `data` as a complete member or frame. The result depends on `data` alone."""
    if not compression:
        return data
    if compression == "gz":
        return gzip.compress(data, compresslevel=6, mtime=0)
    frame: bytes = require_zstandard().ZstdCompressor(level=_LEVEL, write_checksum=True).compress(data)
    return frame


def join_frames(frames: BinaryIO, out: BinaryIO) -> None:
    """Write the content of the Zstandard frames in the file `frames` to `out` as one frame."""
    compressor = require_zstandard().ZstdCompressor(level=_LEVEL, write_checksum=True).compressobj()
    for data in decompress_zstd(frames, "the partial output"):
        out.write(compressor.compress(data))
    out.write(compressor.flush())
