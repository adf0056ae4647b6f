"""The library under test: build/kernels, or the one that ASSAY_KERNELS_LIBRARY names (see kernels/README.md).

`instruction_set` runs a test once for each instruction set that the machine has.
"""

import ctypes

import pytest

from tests.kernels.graphs import LIBRARY


def instruction_sets() -> list[str | None]:
    if not LIBRARY.is_file():
        return [None]
    library = ctypes.CDLL(str(LIBRARY))
    library.assay_kernels_instruction_sets.restype = ctypes.c_char_p
    return [*library.assay_kernels_instruction_sets().decode().split(",")]


@pytest.fixture(params=instruction_sets())
def instruction_set(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param is None:
        pytest.skip(f"{LIBRARY} is not built")
    # Read whenever a session is made.
    name = str(request.param)
    monkeypatch.setenv("ASSAY_KERNELS_ISA", name)
    return name
