"""Load the CUDA, cuDNN and TensorRT libraries that pip installed, where the system's loader does not look."""

import importlib
import importlib.util
import threading
from typing import Any

from assay.devices import Device
from assay.ort.session import check_providers

__all__ = ["prepare"]

_PRELOADING = threading.Lock()


def prepare(ort: Any, device: Device) -> str:
    """Load the libraries that `device` needs. To be called before the first session on a GPU.

    Args:
        ort: The module onnxruntime.
        device: A GPU.

    Returns:
        What went wrong, for the error message in case the provider then does not load. Empty if nothing did.

    Raises:
        ProviderError: This build of ONNX Runtime lacks a provider that the device needs.
    """
    check_providers(ort, device)
    return _preload_cuda(ort) + (_preload_tensorrt() if device.kind == "tensorrt" else "")


def _preload_cuda(ort: Any) -> str:
    """Call onnxruntime.preload_dlls, and return what it prints and raises.

    It reports failures with print(). Replacing that name in its own module catches them; redirecting sys.stdout would
    also swallow what other threads print at that moment.
    """
    lines: list[str] = []

    def collect(*values: object, **_: object) -> None:
        lines.append(" ".join(map(str, values)))

    with _PRELOADING:
        names = vars(ort)
        replaced = names.get("print")
        names["print"] = collect
        try:
            ort.preload_dlls()
        except Exception as error:
            collect(f"{type(error).__name__}: {error}")
        finally:
            if replaced is None:
                del names["print"]
            else:
                names["print"] = replaced
    return "\n".join(lines)


def _preload_tensorrt() -> str:
    """Import tensorrt_libs, a part of the package tensorrt-cu12 or tensorrt-cu13, which loads TensorRT's libraries."""
    try:
        if importlib.util.find_spec("tensorrt_libs") is not None:
            importlib.import_module("tensorrt_libs")
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""
