"""Find the one sound installation of ONNX Runtime, and import it on first use.

All builds of ONNX Runtime (CPU, GPU, DirectML, ...) are different distributions that install the same package folder,
`onnxruntime`. Installed together they overwrite each other's files, and pip does not object; the mixture may import and
then lack a provider or crash. The *.dist-info folders next to the package tell which distributions installed it.
"""

import functools
import importlib.util
import os
from pathlib import Path
from types import ModuleType

from assay.errors import InstallationError, one_line
from assay.optional_packages import import_package

__all__ = ["check", "disable_telemetry", "find_distributions", "onnxruntime"]

# Distributions that install the folder `onnxruntime`. Others like onnxruntime-extensions and -genai do not.
_DISTRIBUTIONS = frozenset(
    {
        "onnxruntime",
        "onnxruntime-azure",
        "onnxruntime-cann",
        "onnxruntime-directml",
        "onnxruntime-gpu",
        "onnxruntime-migraphx",
        "onnxruntime-openvino",
        "onnxruntime-qnn",
        "onnxruntime-rocm",
        "onnxruntime-silicon",
        "onnxruntime-training",
        "onnxruntime-training-cpu",
        "onnxruntime-trt-rtx",
        "onnxruntime-vitisai",
        "onnxruntime-webgpu",
        "onnxruntime-windowsml",
        "ort-nightly",
        "ort-nightly-directml",
        "ort-nightly-gpu",
    }
)

_INSTALL = "pip install 'assay[cpu]' (or 'assay[gpu]' for CUDA and TensorRT)"


def check() -> None:
    """Check the installation without importing ONNX Runtime, which takes about a millisecond.

    Raises:
        InstallationError: ONNX Runtime is absent, half removed, or installed twice.
    """
    try:
        spec = importlib.util.find_spec("onnxruntime")
    except ValueError:  # a stand-in in sys.modules without a __spec__, which somebody put there on purpose
        return
    if spec is None:
        raise InstallationError(f"ONNX Runtime is not installed; to fix it: {_INSTALL}")
    if spec.origin is None:
        # Uninstalling one of two builds that were installed over each other deletes the files that they share.
        folders = ", ".join(spec.submodule_search_locations or [])
        raise InstallationError(
            f"ONNX Runtime is incomplete: {folders} has no __init__.py, as after uninstalling one of two builds; "
            f"to fix it: pip uninstall -y onnxruntime onnxruntime-gpu && {_INSTALL}"
        )
    found = find_distributions(Path(spec.origin).parent)
    if len(found) > 1:
        extra = "gpu" if any("gpu" in name for name in found) else "cpu"
        raise InstallationError(
            f"{len(found)} builds of ONNX Runtime are installed over each other ({', '.join(found)}), expected one; "
            f"to fix it: pip uninstall -y {' '.join(found)} && pip install 'assay[{extra}]'"
        )


def find_distributions(package: Path) -> list[str]:
    """Return the distributions that installed the folder `package`, sorted, from the metadata folders next to it."""
    try:
        names = [entry.name for entry in package.parent.iterdir()]
    except OSError:  # for example inside a zip file
        return []
    stems = (name.split("-")[0] for name in names if name.endswith((".dist-info", ".egg-info")))
    return sorted({stem.lower().replace("_", "-").replace(".", "-") for stem in stems} & _DISTRIBUTIONS)


def disable_telemetry() -> None:
    """Keep an ONNX Runtime that is imported later from sending telemetry, unless the environment decides.

    Official builds from 1.29 on do so from a background thread, unless ORT_DISABLE_TELEMETRY is 1 when they are
    imported (their Privacy.md). A forked child would wait for that thread forever at exit.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


@functools.cache
def onnxruntime() -> ModuleType:
    """Import onnxruntime on first use, which takes about 60 ms, without its telemetry.

    Returns:
        The module.

    Raises:
        InstallationError: ONNX Runtime is absent or cannot be imported.
    """
    check()
    disable_telemetry()
    try:
        module = import_package("onnxruntime")
    except Exception as error:  # ImportError for a missing library; a mixture of builds may raise anything
        raise InstallationError(
            f"ONNX Runtime is installed and cannot be imported ({type(error).__name__}: {one_line(error)}); "
            f"to fix it: pip uninstall -y onnxruntime onnxruntime-gpu && {_INSTALL}"
        ) from error
    if not hasattr(module, "InferenceSession"):
        raise InstallationError(
            f"the module onnxruntime at {getattr(module, '__file__', None)} has no InferenceSession, so it is not ONNX "
            f"Runtime or only part of it; to fix it: {_INSTALL}"
        )
    return module
