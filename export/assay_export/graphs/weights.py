"""The external weight file of a bundle: each tensor is stored once, and every graph that uses it refers to it.

ONNX Runtime memory-maps external data, so tensors start on page boundaries. Two graphs that use the same weight (the
portable and the cpu dialect of one precision) share its bytes: equal tensors are recognised by a hash of their content.
"""

import hashlib
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

__all__ = ["INLINE_BYTES", "PAGE_BYTES", "WeightFile"]

PAGE_BYTES = 4096

INLINE_BYTES = 1024
"""Tensors up to this size are stored inside the .onnx file: a whole page would cost more than the tensor."""


class WeightFile:
    """A file of tensors that is being written. The ONNX files that refer to it must be in the same folder."""

    def __init__(self, path: Path) -> None:
        """Create the file at `path`; its name becomes the `location` of the external tensors."""
        self.path = path
        self._file = path.open("wb")
        self._extents: dict[tuple[str, tuple[int, ...], str], tuple[int, int]] = {}

    def tensor(self, name: str, array: npt.NDArray[np.generic]) -> ir.TensorProtocol:
        """Store `array` and return its ONNX tensor: inline if it is small, otherwise a reference to this file."""
        array = np.asarray(array, order="C")  # not ascontiguousarray, which turns a scalar into a vector
        if array.nbytes <= INLINE_BYTES:
            return ir.tensor(array.copy(), name=name)
        data = array.reshape(-1).view(np.uint8).data
        key = (array.dtype.str, array.shape, hashlib.sha256(data).hexdigest())
        if key not in self._extents:
            self._file.write(b"\0" * (-self._file.tell() % PAGE_BYTES))
            self._extents[key] = (self._file.tell(), array.nbytes)
            self._file.write(data)
        offset, length = self._extents[key]
        return ir.ExternalTensor(
            self.path.name,
            offset,
            length,
            ir.DataType.from_numpy(array.dtype),
            shape=ir.Shape(array.shape),
            name=name,
            base_dir=self.path.parent,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
