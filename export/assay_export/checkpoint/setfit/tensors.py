"""The tensors and layers of PyTorch in a pickle, without running anything that the file names.

A pickled tensor has a file of torch.save in it, in the format that torch had before zip files: a few pickles, and the
numbers raw after them.
"""

import io
import math
import pickle
from typing import Any

import numpy as np
import numpy.typing as npt

from assay_export.checkpoint.setfit.stored import Stored
from assay_export.errors import CheckpointError

__all__ = ["Linear", "Parameter", "SetFitHead", "Storage", "Tensor"]

_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001
_TYPES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2"}


class SetFitHead(Stored):
    """SetFit's differentiable head: a linear layer, a temperature, and a softmax or a sigmoid."""


class Linear(Stored):
    """torch.nn.Linear."""


class Storage(Stored):
    """The numbers of a tensor, as one row.

    Raises:
        CheckpointError: They are of another type than float32, float64 or float16.
        ValueError: The bytes are not what torch.save writes.
    """

    def __init__(self, data: object) -> None:
        if not isinstance(data, bytes):
            raise ValueError(f"the numbers of a tensor are a {type(data).__name__}, expected bytes")
        stream = io.BytesIO(data)
        # The third says what machine wrote the file; the numbers are little-endian on all of them.
        magic, version, _, storage, keys = (_StorageUnpickler(stream).load() for _ in range(5))
        if (magic, version) != (_MAGIC, _VERSION) or not isinstance(storage, _Described) or keys != [storage.key]:
            raise ValueError("the numbers of a tensor are not stored as torch.save does in a pickle")
        count = int.from_bytes(stream.read(8), "little")
        if count != storage.count or len(data) - stream.tell() != count * storage.dtype.itemsize:
            raise ValueError(
                f"a tensor has {len(data) - stream.tell():,} bytes for {count:,} numbers of the type {storage.dtype}"
            )
        self.numbers: npt.NDArray[Any] = np.frombuffer(data, storage.dtype, offset=stream.tell())


class Tensor(Stored):
    """A tensor: a view of its storage.

    Raises:
        ValueError: It reaches beyond its storage.
    """

    def __init__(
        self, storage: Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object
    ) -> None:
        numbers = storage.numbers
        whole = all(type(number) is int and number >= 0 for number in (offset, *size, *stride))
        if len(size) != len(stride) or not whole:
            raise ValueError(f"a tensor has the shape {size!r:.80}, strides {stride!r:.80} and offset {offset!r:.80}")
        last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
        if max(math.prod(size), last + 1) > len(numbers):
            raise ValueError(f"a tensor of the shape {size!r:.80} has only {len(numbers):,} numbers")
        steps = [step * numbers.itemsize for step in stride]
        self.array = np.lib.stride_tricks.as_strided(numbers[offset:], size, steps, writeable=False)


class Parameter(Stored):
    """A tensor that was trained."""

    def __init__(self, data: Tensor, *_: object) -> None:
        self.array = data.array


class _Described(Stored):
    """What a file of torch.save says of the numbers after it."""

    def __init__(self, code: str, key: object, count: object) -> None:
        self.dtype, self.key, self.count = np.dtype(code), key, count


class _StorageUnpickler(pickle._Unpickler):
    """Reads the pickles in a file of torch.save that has one storage: the only names are the types of numbers."""

    def find_class(self, module: str, name: str) -> str:
        if module != "torch" or name not in _TYPES:
            raise CheckpointError(
                f"it has a tensor of {module}.{name:.80}, expected float32, float64 or float16 numbers "
                f"({', '.join(_TYPES)} of torch)"
            )
        return _TYPES[name]

    def persistent_load(self, pid: object) -> _Described:
        match pid:
            case ("storage", str() as code, key, _, count, None) if code in _TYPES.values():
                return _Described(code, key, count)
        raise ValueError(f"a tensor refers to {pid!r:.80}, expected its storage")
