"""Why a provider did not load or a run failed on a GPU, and what to do: ONNX Runtime's and the linker's words to cures.

ONNX Runtime logs the reason to the terminal and drops the provider in silence, so the reason is found again here: the
provider's library is opened once more, and the linker names the first library that is missing.

The words for missing libraries, for TensorRT's plugins and for CUDA failures 35, 100 and 101 were seen with
onnxruntime-gpu 1.31.1 on a machine without a GPU, the last three with a stand-in for NVIDIA's driver that returns
nothing but errors (tests/runtime/test_provider_errors.py). Those about memory, kernels and TensorRT's cache are from
the sources of ONNX Runtime and https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html.
"""

import ctypes
import re
import sys
from pathlib import Path
from typing import Any

from assay.devices import CUDA_PROVIDER, TENSORRT_PROVIDER, Device
from assay.errors import BundleError, ProviderError, one_line

__all__ = ["creation", "failed_run", "linker_words", "not_in_this_build", "not_loaded", "on_cpu"]

_NO_GPU = "or use device='cpu'"
_TENSORRT_MAJOR = 10  # what the TensorRT provider of onnxruntime-gpu 1.31.1 links (readelf -d)

# What is said, what it means, what to do. {build} is the CUDA version that this ONNX Runtime is built for.
_KNOWN = (
    (
        r"libcuda\.so\.1|nvcuda\.dll",
        "NVIDIA's driver is not here",
        "install the driver, or start the container with --gpus all",
    ),
    (
        r"CUDA (failure|error) 35\b|driver version is insufficient",
        "the NVIDIA driver is older than CUDA {build} needs",
        "update the driver, or install an onnxruntime-gpu that is built for the CUDA version which nvidia-smi shows",
    ),
    (
        r"CUDA (failure|error) 100\b|no CUDA-capable device",
        "the driver finds no GPU",
        "see nvidia-smi and CUDA_VISIBLE_DEVICES",
    ),
    (
        r"CUDA (failure|error) 101\b|invalid device ordinal|Invalid device ID",
        "there is no GPU of this number",
        "see nvidia-smi and CUDA_VISIBLE_DEVICES: the first GPU is cuda:0",
    ),
    (
        r"CUDA (failure|error) 209\b|no kernel image",
        "this ONNX Runtime has no kernels for this GPU's compute capability",
        "install a newer onnxruntime-gpu, or for an old GPU an older one",
    ),
    (
        r"CUDA (failure|error) 2\b|out of memory|[Aa]vailable memory of \d+ is smaller|ALLOC_FAILED",
        "the GPU's memory is full",
        "see nvidia-smi for who else uses it, raise gpu_memory if it was given, or send shorter texts",
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
        "TensorRT refuses what is in its cache",
        "delete the folder that the message names, and run assay warmup",
    ),
)


def not_in_this_build(ort: Any, missing: list[str], device: Device) -> ProviderError:
    """The installed ONNX Runtime was built without a provider that the device needs."""
    cure = (
        "pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'assay[gpu]', or use device='cpu'"
        if device.on_gpu
        else "pip install 'assay[cpu]'"
    )
    return ProviderError(
        f"device {str(device)!r} needs {' and '.join(missing)}, and the installed ONNX Runtime "
        f"{ort.__version__} has {', '.join(ort.get_available_providers())}; to fix it: {cure}"
    )


def not_loaded(ort: Any, missing: list[str], device: Device, words: str) -> ProviderError:
    """A provider does not load. `words` say why: the linker's, or what loading its libraries printed."""
    cause, cure = _explain(ort, words, device)
    said = f" ({_line(words)})" if words and " is missing" not in cause else ""
    return ProviderError(f"{' and '.join(missing)} did not load for device {str(device)!r}: {cause}{said}; {cure}")


def creation(ort: Any, error: Exception, path: Path, device: Device, preload: str) -> BundleError | ProviderError:
    """No session could be made of the graph at `path`."""
    if "escapes model directory" in str(error) and path.is_symlink():
        # The Hub's cache is made of links; 1.24.1 does not follow them (microsoft/onnxruntime#27353, mended in #27374).
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
    words = _line(str(error))
    if "install TensorRT libraries" in words:
        # Says nothing of which library; the linker does.
        words = linker_words(ort, TENSORRT_PROVIDER) or linker_words(ort, CUDA_PROVIDER) or f"{words} {preload}".strip()
    cause, cure = _explain(ort, words, device)
    return ProviderError(f"{path}: no session could be made on {device}: {cause} ({_line(words)}); {cure}")


def failed_run(error: Exception, path: Path, shape: str, device: Device) -> ProviderError:
    """A run failed; `shape` is that of its token ids."""
    known = _known(str(error)) if device.on_gpu else None
    cause, cure = known or ("", "try shorter texts or another device")
    return ProviderError(
        f"{path}: the run on {device} failed for token ids of shape {shape}{f': {cause}' if cause else ''} "
        f"({_line(str(error))}); {cure}"
    )


def on_cpu(path: Path, operators: str, count: int, device: Device) -> ProviderError:
    """Operators that compute on data were placed on the CPU though a GPU was asked for."""
    return ProviderError(
        f"{path}: {count} operators were placed on the CPU and not on {device} ({operators}): this ONNX Runtime has no "
        "GPU kernel for them; use another variant, a newer onnxruntime-gpu, or device='cpu'"
    )


def linker_words(ort: Any, provider: str) -> str:
    """What the linker says when it opens the library of `provider`; empty where it opens or cannot be found.

    Only after ONNX Runtime has tried to load it: the library asks for its host as it is opened, and would keep none.
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
    """The cause and the cure that `words` mean."""
    library = re.search(r"\blib([A-Za-z_]+)\.so\.(\d+)", words)
    known = _known(words, ort)
    if known is None and library is not None:
        known = _missing_library(library[1], library[2], ort)
    if known is None:
        known = (
            "the reason is not known",
            f"see with nvidia-smi that the driver finds this GPU, then {_install(device)}",
        )
    return known[0], f"{known[1]}, {_NO_GPU}"


def _known(words: str, ort: Any = None) -> tuple[str, str] | None:
    for pattern, cause, cure in _KNOWN:
        if re.search(pattern, words):
            return cause.format(build=getattr(ort, "cuda_version", "") or "this build"), cure
    return None


def _missing_library(name: str, version: str, ort: Any) -> tuple[str, str]:
    file = f"lib{name}.so.{version}"
    if name.startswith("nvinfer") or name.startswith("nvonnxparser"):
        cure = f"pip install 'tensorrt-cu{_cuda_major(ort)}>={_TENSORRT_MAJOR},<{_TENSORRT_MAJOR + 1}'"
        other = _installed(r"tensorrt(-cu\d+)?", version)
        if other:
            return (
                f"{other} is installed, and this ONNX Runtime links TensorRT {version} ({file} is missing)",
                f"pip uninstall -y {other.split()[0]} && {cure}",
            )
        return f"TensorRT {version} is not installed ({file} is missing)", cure
    if name.startswith("cudnn"):
        return f"cuDNN {version} is not installed ({file} is missing)", _install(None)
    other = _installed(r"nvidia-(cublas|cuda-runtime)(-cu\d+)?", _cuda_major(ort))
    if other:
        return (
            f"{file} is missing: this ONNX Runtime is built for CUDA {_cuda_major(ort)}, and {other} is installed",
            f"{_install(None)}, which brings CUDA {_cuda_major(ort)} beside it",
        )
    part = "cuBLAS" if name.startswith("cublas") else "a part of CUDA"
    return f"{part} for CUDA {_cuda_major(ort)} is not installed ({file} is missing)", _install(None)


def _install(device: Device | None) -> str:
    tensorrt = (
        f" 'tensorrt-cu13>={_TENSORRT_MAJOR},<{_TENSORRT_MAJOR + 1}'" if device and device.kind == "tensorrt" else ""
    )
    return f"pip install 'assay[gpu]'{tensorrt}"


def _cuda_major(ort: Any) -> str:
    return str(getattr(ort, "cuda_version", None) or "13").split(".")[0]


def _installed(pattern: str, major: str) -> str:
    """A distribution whose name matches `pattern` and whose version is another than `major`, as "name version"."""
    from importlib.metadata import distributions  # slow to import, and needed for an error only

    found = {}
    for distribution in distributions():
        name = (distribution.metadata["Name"] or "").lower().replace("_", "-")
        if re.fullmatch(pattern, name):
            found[name] = distribution.version
    if any(version.split(".")[0] == major for version in found.values()):
        return ""
    return next((f"{name} {version}" for name, version in sorted(found.items())), "")


def _line(words: str) -> str:
    """The telling part of `words`: ONNX Runtime puts whole C++ signatures before it."""
    failure = re.search(r"(CUDA|CUDNN|CUBLAS) failure \d+: [^;]*", words)
    return one_line(Exception(failure[0].strip() if failure else words))
