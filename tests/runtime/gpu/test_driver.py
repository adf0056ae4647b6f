"""The driver's answers are made up here: there is no GPU where this was written."""

import ctypes
from typing import Any

import pytest

from assay.gpu import driver
from assay.gpu.driver import Gpu


class Library:
    """A stand-in for libcuda: writes through the pointers that it is given, as the driver does."""

    def __init__(self, gpus: list[Gpu], init: int = 0, version: int = 13_010) -> None:
        self.gpus, self.init, self.version = gpus, init, version

    def cuInit(self, flags: int) -> int:  # noqa: N802
        assert flags == 0
        return self.init

    def cuDriverGetVersion(self, version: Any) -> int:  # noqa: N802
        version._obj.value = self.version
        return 0

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = len(self.gpus)
        return 0

    def cuDeviceGet(self, device: Any, index: int) -> int:  # noqa: N802
        device._obj.value = 100 + index
        return 0

    def cuDeviceGetName(self, name: Any, size: int, device: Any) -> int:  # noqa: N802
        assert size == ctypes.sizeof(name)
        name.value = self.gpus[device.value - 100].name.encode()
        return 0

    def cuDeviceGetAttribute(self, value: Any, attribute: int, device: Any) -> int:  # noqa: N802
        major, minor = self.gpus[device.value - 100].compute_capability.split(".")
        value._obj.value = int({75: major, 76: minor}[attribute])
        return 0

    def cuDeviceTotalMem_v2(self, memory: Any, device: Any) -> int:  # noqa: N802
        memory._obj.value = self.gpus[device.value - 100].memory
        return 0


CARDS = [Gpu("NVIDIA L4", "8.9", 24 << 30), Gpu("NVIDIA H100", "9.0", 80 << 30)]


def test_every_gpu_is_found_with_name_compute_capability_and_memory() -> None:
    found = driver.find(lambda _: Library(CARDS))
    assert found == driver.Driver(tuple(CARDS), "13.1", "")


def test_a_machine_without_a_driver_has_no_gpu_with_a_reason() -> None:
    def missing(name: str) -> Any:
        raise OSError(f"{name}: cannot open shared object file")

    found = driver.find(missing)
    assert found.gpus == ()
    assert "no NVIDIA driver here (libcuda.so.1" in found.problem or "nvcuda.dll" in found.problem


@pytest.mark.parametrize(
    ("library", "problem"),
    [
        (Library([], init=100), "the NVIDIA driver finds no GPU"),
        (Library([]), "the NVIDIA driver finds no GPU"),
        (Library(CARDS, init=999), "the NVIDIA driver fails with error 999 in cuInit"),
    ],
)
def test_a_driver_without_a_gpu_says_why(library: Library, problem: str) -> None:
    found = driver.find(lambda _: library)
    assert (found.gpus, found.problem) == ((), problem)
