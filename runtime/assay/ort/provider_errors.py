"""Explain why an execution provider did not load or a run on a GPU failed, and say what to do about it.

ONNX Runtime logs the reason to the terminal and silently drops the provider. The reason is therefore determined again
here: the provider's library is opened once more, and the linker names the first library that is missing.

The messages for missing libraries, for TensorRT's plugins and for CUDA failures 35, 100 and 101 were observed with
onnxruntime-gpu 1.31.1 on a machine without a GPU, the last three with a stand-in for NVIDIA's driver that returns only
errors (tests/runtime/ort/test_provider_errors.py). Those about memory, kernels and TensorRT's cache are from the
sources of ONNX Runtime and https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html.
"""

import ctypes
import re
import sys
from pathlib import Path
from typing import Any

from assay.devices import CUDA_PROVIDER, TENSORRT_PROVIDER, Device
from assay.errors import BundleError, ProviderError, one_line

__all__ = [
    "explain_cpu_placement",
    "explain_dropped_provider",
    "explain_failed_run",
    "explain_failed_session",
    "explain_missing_provider",
    "read_linker_error",
]

_OR_CPU = "or use device='cpu'"
_TENSORRT_MAJOR = 10  # the version that the TensorRT provider of onnxruntime-gpu 1.31.1 links (readelf -d)

# A message's pattern, its cause, and the remedy. {build} is the CUDA version that this ONNX Runtime is built for.
_KNOWN = (
    (
        r"libcuda\.so\.1|nvcuda\.dll",
        "NVIDIA's driver is not installed",
        "install the driver, or start the container with --gpus all",
    ),
    (
        r"CUDA (failure|error) 35\b|driver version is insufficient",
        "the NVIDIA driver is older than {build} needs",
        "update the driver, or install an onnxruntime-gpu that is built for the CUDA version which nvidia-smi shows",
    ),
    (
        r"CUDA (failure|error) 100\b|no CUDA-capable device",
        "the driver finds no GPU",
        "check nvidia-smi and CUDA_VISIBLE_DEVICES",
    ),
    (
        r"CUDA (failure|error) 101\b|invalid device ordinal|Invalid device ID",
        "there is no GPU with this number",
        "check nvidia-smi and CUDA_VISIBLE_DEVICES: the first GPU is cuda:0",
    ),
    (
        r"CUDA (failure|error) 209\b|no kernel image",
        "this ONNX Runtime has no kernels for this GPU's compute capability",
        "install a newer onnxruntime-gpu, or for an old GPU an older one",
    ),
    (
        r"CUDA (failure|error) 2\b|out of memory|[Aa]vailable memory of \d+ is smaller|ALLOC_FAILED",
        "the GPU's memory is full",
        "see nvidia-smi for other processes that use it, raise gpu_memory if it was given, or send shorter texts",
    ),
    (
        r"cannot use the graph capture feature",
        "not every operator runs on CUDA, so no CUDA graph can be captured",
        "load with cuda_graphs=False",
    ),
    (
        r"provide all the dynamic shape inputs with associated profiles",
        "TensorRT takes only parts of this graph",
        "use device='cuda', and please report this with the bundle's architecture",
    ),
    (
        r"could not deserialize engine|could not create timing cache",
        "TensorRT rejects the files in its cache",
        "delete the folder that the message names, and run assay warmup",
    ),
)


def explain_missing_provider(ort: Any, missing: list[str], device: Device) -> ProviderError:
    """Return the error for an ONNX Runtime that was built without the providers `missing`."""
    remedy = (
        f"pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'assay[gpu]', {_OR_CPU}"
        if device.on_gpu
        else "pip install 'assay[cpu]'"
    )
    return ProviderError(
        f"device {str(device)!r} needs {' and '.join(missing)}, and the installed ONNX Runtime "
        f"{ort.__version__} has {', '.join(ort.get_available_providers())}; to fix it: {remedy}"
    )


def explain_dropped_provider(ort: Any, missing: list[str], device: Device, words: str) -> ProviderError:
    """Return the error for the providers `missing`, which did not load.

    Args:
        ort: The module onnxruntime.
        missing: The names of the providers.
        device: The device that was requested.
        words: The linker's message, or what loading the libraries printed.
    """
    cause, remedy = _explain(ort, words, device)
    quote = f" ({_shorten(words)})" if words and " is missing" not in cause else ""
    return ProviderError(f"{' and '.join(missing)} did not load for device {str(device)!r}: {cause}{quote}; {remedy}")


def explain_failed_session(
    ort: Any, error: Exception, path: Path, device: Device, preload: str
) -> BundleError | ProviderError:
    """Return the error for a session that could not be created for the graph at `path`.

    Args:
        ort: The module onnxruntime.
        error: What InferenceSession raised.
        path: The .onnx file.
        device: The device that was requested.
        preload: What loading the GPU's libraries printed.
    """
    if "escapes model directory" in str(error) and path.is_symlink():
        # The Hub's cache consists of links. 1.24.1 does not follow them (microsoft/onnxruntime#27353, fixed in #27374).
        return BundleError(
            f"{path}: ONNX Runtime {ort.__version__} does not follow the links of the Hub's cache to the weights; "
            "to fix it: pip install --upgrade onnxruntime (or onnxruntime-gpu)"
        )
    about_the_file = ("InvalidGraph", "InvalidProtobuf", "NoModel", "NoSuchFile", "NotImplemented")
    if not device.on_gpu or type(error).__name__ in about_the_file:
        return BundleError(
            f"{path}: ONNX Runtime cannot load this graph ({one_line(error)}); "
            "check the bundle with assay verify, or export it again"
        )
    words = _shorten(str(error))
    if "install TensorRT libraries" in words:
        # This does not say which library is missing. The linker does.
        words = (
            read_linker_error(ort, TENSORRT_PROVIDER)
            or read_linker_error(ort, CUDA_PROVIDER)
            or f"{words} {preload}".strip()
        )
    cause, remedy = _explain(ort, words, device)
    return ProviderError(f"{path}: no session could be created on {device}: {cause} ({_shorten(words)}); {remedy}")


def explain_failed_run(ort: Any, error: Exception, path: Path, shape: str, device: Device) -> ProviderError:
    """Return the error for a failed run on token ids of `shape`, such as "8x512"."""
    known = _match_known(ort, str(error)) if device.on_gpu else None
    cause, remedy = known or ("", "try shorter texts or another device")
    return ProviderError(
        f"{path}: the run on {device} failed for token ids of shape {shape}{f': {cause}' if cause else ''} "
        f"({_shorten(str(error))}); {remedy}"
    )


def explain_cpu_placement(path: Path, operators: str, count: int, device: Device) -> ProviderError:
    """Return the error for `count` operators that compute on data and were placed on the CPU instead of a GPU."""
    return ProviderError(
        f"{path}: {count} {'operator was' if count == 1 else 'operators were'} placed on the CPU and not on {device} "
        f"({operators}): this ONNX Runtime has no GPU kernel for them; use another variant, a newer onnxruntime-gpu, "
        "or device='cpu'"
    )


def read_linker_error(ort: Any, provider: str) -> str:
    """Open the library of `provider`, and return the linker's error. Empty if it opens or cannot be found.

    Call this only after ONNX Runtime has tried to load the library: the library looks for its host when it is opened,
    and would not find it later.
    """
    stem = {CUDA_PROVIDER: "cuda", TENSORRT_PROVIDER: "tensorrt"}[provider]
    prefix, suffix = ("", ".dll") if sys.platform == "win32" else ("lib", ".so")
    folder = Path(getattr(ort, "__file__", None) or ".").parent / "capi"
    names = [f"{prefix}onnxruntime_providers_{part}{suffix}" for part in ("shared", stem)]
    if not all((folder / name).is_file() for name in names):
        return ""
    try:
        for name in names:
            ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        return str(error)
    return ""


def _explain(ort: Any, words: str, device: Device) -> tuple[str, str]:
    """Return the cause and the remedy for the message `words`."""
    library = re.search(r"\blib([A-Za-z_]+)\.so\.(\d+)", words)
    known = _match_known(ort, words)
    if known is None and library is not None:
        known = _explain_missing_library(ort, library[1], library[2])
    if known is None:
        tensorrt = f" {_quote_tensorrt(ort)}" if device.kind == "tensorrt" else ""
        known = (
            "the reason is not known",
            f"check with nvidia-smi that the driver finds this GPU, then pip install 'assay[gpu]'{tensorrt}",
        )
    return known[0], f"{known[1]}, {_OR_CPU}"


def _match_known(ort: Any, words: str) -> tuple[str, str] | None:
    version = getattr(ort, "cuda_version", "")
    for pattern, cause, remedy in _KNOWN:
        if re.search(pattern, words):
            return cause.format(build=f"CUDA {version}" if version else "this ONNX Runtime"), remedy
    return None


def _explain_missing_library(ort: Any, name: str, version: str) -> tuple[str, str]:
    file = f"lib{name}.so.{version}"
    install, major = "pip install 'assay[gpu]'", _read_cuda_major(ort)
    if name.startswith("nvinfer") or name.startswith("nvonnxparser"):
        remedy = f"pip install {_quote_tensorrt(ort)}"
        other = _find_other_version(r"tensorrt(-cu\d+)?", version)
        if other:
            return (
                f"{other} is installed, and this ONNX Runtime links TensorRT {version} ({file} is missing)",
                f"pip uninstall -y {other.split()[0]} && {remedy}",
            )
        return f"TensorRT {version} is not installed ({file} is missing)", remedy
    if name.startswith("cudnn"):
        return f"cuDNN {version} is not installed ({file} is missing)", install
    other = _find_other_version(r"nvidia-(cublas|cuda-runtime)(-cu\d+)?", major)
    if other:
        return (
            f"{file} is missing: this ONNX Runtime is built for CUDA {major}, and {other} is installed",
            f"{install}, which adds CUDA {major}",
        )
    part = "cuBLAS" if name.startswith("cublas") else "a part of CUDA"
    return f"{part} for CUDA {major} is not installed ({file} is missing)", install


def _quote_tensorrt(ort: Any) -> str:
    """Return the requirement, quoted for a shell, for the TensorRT that goes with this build of ONNX Runtime."""
    return f"'tensorrt-cu{_read_cuda_major(ort)}>={_TENSORRT_MAJOR},<{_TENSORRT_MAJOR + 1}'"


def _read_cuda_major(ort: Any) -> str:
    return str(getattr(ort, "cuda_version", None) or "13").split(".")[0]


def _find_other_version(pattern: str, major: str) -> str:
    """Return "name version" of an installed distribution that matches `pattern`, unless one has the version `major`."""
    from importlib.metadata import distributions  # slow to import, and needed for an error only

    found = {}
    for distribution in distributions():
        name = (distribution.metadata["Name"] or "").lower().replace("_", "-")
        if re.fullmatch(pattern, name):
            found[name] = distribution.version
    if any(version.split(".")[0] == major for version in found.values()):
        return ""
    return next((f"{name} {version}" for name, version in sorted(found.items())), "")


def _shorten(words: str) -> str:
    """Return the informative part of `words`: ONNX Runtime puts whole C++ signatures before it."""
    failure = re.search(r"(CUDA|CUDNN|CUBLAS) failure \d+: [^;]*", words)
    return one_line(Exception(failure[0].strip() if failure else words))
