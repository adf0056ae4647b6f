"""Ask NVIDIA's driver about the GPUs, through ctypes and the driver's own library, without any package.

Functions and attribute numbers are those of the CUDA driver API
(https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__DEVICE.html).
"""

import ctypes
import sys
from dataclasses import dataclass
from typing import Any

__all__ = ["Driver", "Gpu", "find"]

_LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
_NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR
_NAME_BYTES = 256


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU: its name, compute capability such as "9.0", and memory in bytes."""

    name: str
    compute_capability: str
    memory: int


@dataclass(frozen=True, slots=True)
class Driver:
    """The GPUs that this process sees, or the `problem` if there are none.

    `cuda` is the newest CUDA version that the driver supports, such as "12.8". It is empty without a driver.
    """

    gpus: tuple[Gpu, ...]
    cuda: str
    problem: str


def find(load: Any = ctypes.CDLL) -> Driver:
    """Ask the driver. Never raises: a machine without a driver has no usable GPUs."""
    try:
        library = load(_LIBRARY)
    except OSError:
        return Driver((), "", f"there is no NVIDIA driver here ({_LIBRARY} cannot be loaded)")
    version = ctypes.c_int()
    library.cuDriverGetVersion(ctypes.byref(version))
    cuda = f"{version.value // 1000}.{version.value % 1000 // 10}"
    try:
        _call(library.cuInit, 0)
        count = ctypes.c_int()
        _call(library.cuDeviceGetCount, ctypes.byref(count))
        gpus = tuple(_read_gpu(library, index) for index in range(count.value))
    except _DriverError as error:
        none = error.code == _NO_DEVICE
        return Driver((), cuda, "the NVIDIA driver finds no GPU" if none else f"the NVIDIA driver fails with {error}")
    return Driver(gpus, cuda, "" if gpus else "the NVIDIA driver finds no GPU")


class _DriverError(Exception):
    def __init__(self, function: str, code: int) -> None:
        super().__init__(f"error {code} in {function}")
        self.code = code


def _call(function: Any, *arguments: Any) -> None:
    code = function(*arguments)
    if code != 0:
        raise _DriverError(getattr(function, "__name__", "the driver"), code)


def _read_gpu(library: Any, index: int) -> Gpu:
    device, major, minor, memory = ctypes.c_int(), ctypes.c_int(), ctypes.c_int(), ctypes.c_size_t()
    name = ctypes.create_string_buffer(_NAME_BYTES)
    _call(library.cuDeviceGet, ctypes.byref(device), index)
    _call(library.cuDeviceGetName, name, _NAME_BYTES, device)
    _call(library.cuDeviceGetAttribute, ctypes.byref(major), _MAJOR, device)
    _call(library.cuDeviceGetAttribute, ctypes.byref(minor), _MINOR, device)
    _call(library.cuDeviceTotalMem_v2, ctypes.byref(memory), device)
    return Gpu(name.value.decode("utf-8", "replace"), f"{major.value}.{minor.value}", memory.value)
