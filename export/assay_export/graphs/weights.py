"""The external weight file of a bundle: tensors are appended once and referred to by every graph that needs them.

ONNX Runtime maps external data, so tensors start on page boundaries. Two graphs that use the same weight (the
portable and the cpu dialect of one precision) share its bytes: tensors are found again by their content.
"""

import hashlib
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

PAGE_BYTES = 4096
# Smaller tensors live inside the .onnx file: a page of its own would cost more than the tensor.
INLINE_BYTES = 1024


class WeightFile:
    """Appends tensors to `path`, whose name becomes the `location` in the ONNX files that lie beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("wb")
        self._extents: dict[tuple[str, tuple[int, ...], str], tuple[int, int]] = {}

    def tensor(self, name: str, array: npt.NDArray[np.generic]) -> ir.TensorProtocol:
        """The ONNX tensor for `array`: inline when small, otherwise a reference into this file."""
        array = np.asarray(array, order="C")  # ascontiguousarray would make a vector of a scalar
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

    def __enter__(self) -> "WeightFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
