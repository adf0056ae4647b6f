"""Where the operators for ONNX Runtime are, and what they would run on here.

Register them with `SessionOptions.register_custom_ops_library(str(assay_kernels.library_path()))`.
"""

import ctypes
import functools
import sys
from pathlib import Path
from typing import Any

__all__ = ["__version__", "instruction_set", "library_path"]

_SUFFIXES = {"win32": ".dll", "darwin": ".dylib"}


def library_path() -> Path:
    """The shared library. ImportError where the package came without it."""
    path = Path(__file__).parent / f"libassay_kernels{_SUFFIXES.get(sys.platform, '.so')}"
    if not path.is_file():
        raise ImportError(f"assay-kernels {_read_version()} has no {path.name} in {path.parent}: install it anew")
    return path


def instruction_set() -> str:
    """What a session made now would run: amx, avx512vnni, avxvnni, avx2, neon_i8mm, neon_dotprod or plain.

    OSError where the library does not load; ValueError where ASSAY_KERNELS_ISA names an instruction set that this
    machine does not have.
    """
    library = _library()
    name: bytes | None = library.assay_kernels_instruction_set()
    if name is None:
        raise ValueError(library.assay_kernels_problem().decode())
    return name.decode()


@functools.cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(library_path()))
    for function in (library.assay_kernels_instruction_set, library.assay_kernels_problem):
        function.restype = ctypes.c_char_p
    return library


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _read_version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _read_version() -> str:
    from importlib.metadata import version  # imports email and zipfile: 10 ms of every start

    return version("assay-kernels")
