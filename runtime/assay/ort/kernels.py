"""The library of CPU kernels (the distribution assay-kernels): where it is, and what it would run on."""

import importlib
from pathlib import Path
from typing import Any

from assay.errors import InstallationError, one_line
from assay.files import to_utf_8

__all__ = ["find_problem", "read_instruction_set", "register"]

_INSTALL = "pip install assay-kernels"


def register(options: Any) -> None:
    """Add the operators of the library to `options`, the SessionOptions of a session to be made.

    Raises:
        InstallationError: the library is not installed, or does not load beside this ONNX Runtime.
    """
    path = _library_path()
    try:
        options.register_custom_ops_library(to_utf_8(path))
    except Exception as error:  # ONNX Runtime's exceptions have no common base class
        raise InstallationError(f"{path}: ONNX Runtime does not load it ({one_line(error)}); {_INSTALL}") from error


def read_instruction_set() -> str:
    """Return the name of the instruction set that the kernels use on this machine, such as "avx512vnni".

    Raises:
        InstallationError: the library is not installed, or ASSAY_KERNELS_ISA names what this machine does not have.
    """
    module = _package()
    try:
        return str(module.instruction_set())
    except Exception as error:
        raise InstallationError(f"the CPU kernels cannot run here: {one_line(error)}") from error


def find_problem() -> str | None:
    """Return why the kernels cannot be used in this process, or None if they can."""
    try:
        _library_path()
        read_instruction_set()
    except InstallationError as error:
        return str(error)
    return None


def _library_path() -> Path:
    module = _package()
    try:
        return Path(module.library_path())
    except Exception as error:
        raise InstallationError(f"the CPU kernels are incomplete: {one_line(error)}; {_INSTALL}") from error


def _package() -> Any:
    try:
        return importlib.import_module("assay_kernels")
    except ImportError as error:
        raise InstallationError(f"the CPU kernels are not installed ({one_line(error)}); {_INSTALL}") from error
