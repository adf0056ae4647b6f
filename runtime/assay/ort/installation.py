"""Is there one sound ONNX Runtime? Checked cheaply when assay is imported, and again before onnxruntime is.

All builds of ONNX Runtime (CPU, GPU, DirectML, ...) are different distributions that install the same package folder,
`onnxruntime`. Installed together they overwrite each other's files, and pip does not object; the mixture may import and
then lack a provider or crash. Which distributions claim the folder is read off the *.dist-info folders beside it.
"""

import functools
import importlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

from assay.errors import InstallationError, one_line

__all__ = ["check", "check_on_import", "distributions_beside", "onnxruntime"]

# Distributions that own the folder `onnxruntime`. Others of similar name (onnxruntime-extensions, -genai) do not.
DISTRIBUTIONS = frozenset(
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


def check_on_import() -> None:
    """Run `check`; as a command of its own (`assay ...`), say what is wrong on one line instead of with a traceback.

    A console script imports the package before it reaches assay.cli.main, so that main could not catch this.
    """
    try:
        check()
    except InstallationError as error:
        program = Path(sys.argv[0]).stem if sys.argv else ""
        as_module = sys.orig_argv[1:3] == ["-m", "assay"]
        if (program == "assay" or as_module) and "--debug" not in sys.argv:
            raise SystemExit(f"assay: error: {error}") from error
        raise


def check() -> None:
    """Raise InstallationError where ONNX Runtime is absent, half removed, or installed twice. Does not import it."""
    try:
        spec = importlib.util.find_spec("onnxruntime")
    except ValueError:  # a stand-in in sys.modules that has no __spec__: whoever put it there knows better
        return
    if spec is None:
        raise InstallationError(f"ONNX Runtime is not installed; to fix it: {_INSTALL}")
    if spec.origin is None:
        # Removing one of two builds that were installed over each other deletes the files they share.
        folders = ", ".join(spec.submodule_search_locations or [])
        raise InstallationError(
            f"ONNX Runtime is incomplete: {folders} has no __init__.py, as after uninstalling one of two builds; "
            f"to fix it: pip uninstall -y onnxruntime onnxruntime-gpu && {_INSTALL}"
        )
    found = distributions_beside(Path(spec.origin).parent)
    if len(found) > 1:
        extra = "gpu" if any("gpu" in name for name in found) else "cpu"
        raise InstallationError(
            f"{len(found)} builds of ONNX Runtime are installed over each other ({', '.join(found)}), expected one; "
            f"to fix it: pip uninstall -y {' '.join(found)} && pip install 'assay[{extra}]'"
        )


def distributions_beside(package: Path) -> list[str]:
    """The distributions, sorted, that installed the package folder `package`, by the metadata folders beside it."""
    try:
        names = [entry.name for entry in package.parent.iterdir()]
    except OSError:  # inside a zip file, say: nothing to compare
        return []
    stems = (name.split("-")[0] for name in names if name.endswith((".dist-info", ".egg-info")))
    return sorted({stem.lower().replace("_", "-").replace(".", "-") for stem in stems} & DISTRIBUTIONS)


@functools.cache
def onnxruntime() -> ModuleType:
    """The module onnxruntime, imported on first use (about 60 ms). Raises InstallationError where it cannot be.

    Official builds from 1.29 on report to their maker from a thread of their own, unless ORT_DISABLE_TELEMETRY is 1
    before they are imported (their Privacy.md). It is set here where it is not set: a library that answers from a file
    has nothing to report, and a forked child would wait for that thread at its end, for ever.
    """
    check()
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        module = importlib.import_module("onnxruntime")
    except Exception as error:  # a missing shared library is an ImportError, a mixture of builds anything at all
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
