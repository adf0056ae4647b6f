"""The texts marked "seen" are those of onnxruntime-gpu 1.31.1 on a machine without a GPU."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from assay.devices import Device
from assay.errors import BundleError, ProviderError
from assay.ort import provider_errors

CUDA, TENSORRT, CPU = Device("cuda", 0), Device("tensorrt", 0), Device("cpu", 0)
PATH = Path("bundle/onnx/model.onnx")
ORT = SimpleNamespace(__version__="1.31.1", cuda_version="13.0", __file__="/nowhere/onnxruntime/__init__.py")
MISSING = ": cannot open shared object file: No such file or directory"

# Seen, with a stand-in for the driver's library that returns errors. The signature is 800 characters long.
CUDA_CALL = (
    "/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:154 std::conditional_t<THRW, void, "
    "onnxruntime::common::Status> onnxruntime::CudaCall(ERRTYPE, const char*, const char*, SUCCTYPE, const char*, "
    "const char*, int) [with ERRTYPE = cudaError; bool THRW = true; SUCCTYPE = cudaError; std::conditional_t<THRW, "
    "void, common::Status> = void] /onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:146 CUDA failure "
    "{code}: {text} ; GPU=-1 ; hostname=vm ; file=/onnxruntime_src/onnxruntime/core/providers/cuda/"
    "cuda_execution_provider.cc ; line=355 ; expr=cudaSetDevice(info_.device_id); "
)
# Seen
PLUGINS = (
    "/onnxruntime_src/onnxruntime/python/onnxruntime_pybind_state.cc:729 void onnxruntime::python::"
    "RegisterTensorRTPluginsAsCustomOps(PySessionOptions&, const onnxruntime::ProviderOptions&) Please install "
    "TensorRT libraries as mentioned in the GPU requirements page, make sure they're in the PATH or LD_LIBRARY_PATH, "
    "and that your GPU is supported."
)


def installed(monkeypatch: pytest.MonkeyPatch, **versions: str) -> None:
    found = [
        SimpleNamespace(metadata={"Name": name.replace("_", "-")}, version=version)
        for name, version in versions.items()
    ]
    monkeypatch.setattr("importlib.metadata.distributions", lambda: found)


def dropped(words: str, device: Device = CUDA) -> str:
    """The message where the linker says `words`."""
    error = provider_errors.explain_dropped_provider(ORT, list(device.required), device, words)
    assert isinstance(error, ProviderError)
    assert "\n" not in str(error)
    return str(error)


def failed_session(words: str, device: Device = CUDA, ort: Any = ORT, preload: str = "") -> str:
    """The message where creating a session raises an error that says `words`."""
    error = provider_errors.explain_failed_session(ort, RuntimeError(words), PATH, device, preload)
    assert isinstance(error, ProviderError)
    assert "\n" not in str(error)
    return str(error)


@pytest.mark.parametrize(
    ("library", "cause", "cure"),
    [
        ("libcublasLt.so.13", "cuBLAS for CUDA 13 is not installed", "pip install 'assay[gpu]'"),  # seen
        ("libcublas.so.13", "cuBLAS for CUDA 13 is not installed", "pip install 'assay[gpu]'"),  # seen
        ("libcurand.so.10", "a part of CUDA for CUDA 13 is not installed", "pip install 'assay[gpu]'"),  # seen
        ("libcudart.so.13", "a part of CUDA for CUDA 13 is not installed", "pip install 'assay[gpu]'"),
        ("libcudnn.so.9", "cuDNN 9 is not installed", "pip install 'assay[gpu]'"),
        ("libcuda.so.1", "NVIDIA's driver is not installed", "--gpus all"),  # seen
        ("libnvinfer.so.10", "TensorRT 10 is not installed", "pip install 'tensorrt-cu13>=10,<11'"),  # seen
        ("libnvonnxparser.so.10", "TensorRT 10 is not installed", "pip install 'tensorrt-cu13>=10,<11'"),
    ],
)
def test_a_missing_library_is_named_with_the_package_that_has_it(
    library: str, cause: str, cure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch)
    message = dropped(f"{library}{MISSING}", TENSORRT if "nv" in library else CUDA)
    for words in (library, cause, cure, "or use device='cpu'"):
        assert words in message


def test_cuda_12_beside_a_build_for_cuda_13_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, nvidia_cublas_cu12="12.9.1", nvidia_cuda_runtime_cu12="12.9.79")
    message = dropped(f"libcublasLt.so.13{MISSING}")
    assert "built for CUDA 13, and nvidia-cublas-cu12 12.9.1 is installed" in message
    assert "pip install 'assay[gpu]', which adds CUDA 13" in message


def test_tensorrt_11_beside_a_provider_for_tensorrt_10_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, tensorrt="11.0.0.5")
    message = dropped(f"libnvinfer.so.10{MISSING}", TENSORRT)
    assert "tensorrt 11.0.0.5 is installed, and this ONNX Runtime links TensorRT 10" in message
    assert "pip uninstall -y tensorrt && pip install 'tensorrt-cu13>=10,<11'" in message


def test_the_right_version_that_is_not_found_is_not_called_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, tensorrt_cu13="10.13.3")
    assert "TensorRT 10 is not installed" in dropped(f"libnvinfer.so.10{MISSING}", TENSORRT)


@pytest.mark.parametrize(
    ("code", "text", "cause"),
    [
        (35, "CUDA driver version is insufficient for CUDA runtime version", "driver is older than CUDA 13.0 needs"),
        (100, "no CUDA-capable device is detected", "the driver finds no GPU"),
        (101, "invalid device ordinal", "there is no GPU with this number"),
        (999, "unknown error", "the reason is not known"),
    ],
)
def test_a_failure_of_the_driver_is_told_without_its_signature(code: int, text: str, cause: str) -> None:
    error = provider_errors.explain_failed_session(
        ORT, RuntimeError(CUDA_CALL.format(code=code, text=text)), PATH, CUDA, ""
    )
    assert isinstance(error, ProviderError)
    assert f"{cause} (CUDA failure {code}: {text}); " in str(error)
    assert "conditional_t" not in str(error)


def test_a_number_that_the_provider_refuses_is_told_as_well() -> None:
    words = 'Failed to parse provider option "device_id": Invalid device ID: 9, must be between 0 (inclusive) and 1'
    assert "no GPU with this number" in str(
        provider_errors.explain_failed_session(ORT, RuntimeError(words), PATH, CUDA, "")
    )


def test_tensorrts_own_words_say_nothing_so_the_linker_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch)
    monkeypatch.setattr(provider_errors, "read_linker_error", lambda *_: f"libnvinfer.so.10{MISSING}")
    assert "TensorRT 10 is not installed (libnvinfer.so.10 is missing)" in failed_session(PLUGINS, TENSORRT)


def test_where_the_linker_has_nothing_to_say_the_words_are_kept() -> None:
    message = failed_session(PLUGINS, TENSORRT, preload="Failed to load x.so")
    assert "Please install TensorRT libraries" in message
    assert "'tensorrt-cu13>=10,<11'" in message


@pytest.mark.parametrize("words", [PLUGINS, f"libnvinfer.so.10{MISSING}"])
def test_a_build_for_cuda_12_is_told_to_install_the_tensorrt_for_cuda_12(
    words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch)
    for_cuda_12 = SimpleNamespace(
        __version__="1.23.0", cuda_version="12.8", __file__="/nowhere/onnxruntime/__init__.py"
    )
    message = failed_session(words, TENSORRT, ort=for_cuda_12)
    assert "pip install" in message
    assert "'tensorrt-cu12>=10,<11'" in message
    assert "cu13" not in message


@pytest.mark.parametrize(("version", "named"), [("13.0", "CUDA 13.0"), ("", "this ONNX Runtime"), (None, "this ONNX")])
def test_a_driver_that_is_too_old_for_a_run_is_compared_with_the_cuda_of_the_build(
    version: str | None, named: str
) -> None:
    ort = SimpleNamespace(__version__="1.31.1", cuda_version=version)
    error = provider_errors.explain_failed_run(ort, RuntimeError("CUDA failure 35: insufficient"), PATH, "1x32", CUDA)
    assert f"the NVIDIA driver is older than {named}" in str(error)
    assert "{" not in str(error)


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ("CUDA failure 2: out of memory ; GPU=0", "the GPU's memory is full"),
        ("Failed to allocate memory. Available memory of 12 is smaller than requested bytes of 34", "memory is full"),
        ("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED", "memory is full"),
        ("CUDA failure 209: no kernel image is available for execution on the device", "no kernels for this GPU"),
    ],
)
def test_a_run_that_fails_on_a_gpu_says_why(words: str, cause: str) -> None:
    error = provider_errors.explain_failed_run(ORT, RuntimeError(words), PATH, "8x512", CUDA)
    assert "the run on cuda:0 failed for token ids of shape 8x512: " in str(error)
    assert cause in str(error)


def test_a_graph_that_tensorrt_takes_in_parts_is_told_from_its_demand_for_profiles() -> None:
    words = "User needs to provide all the dynamic shape inputs with associated profiles if they want to ..."
    assert "only parts of this graph" in str(
        provider_errors.explain_failed_session(ORT, RuntimeError(words), PATH, TENSORRT, "")
    )


def test_a_graph_that_cannot_be_captured_names_the_option() -> None:
    words = (
        "This session cannot use the graph capture feature as requested by the user  as all compute graph nodes have"
    )
    assert "cuda_graphs=False" in failed_session(words)


@pytest.mark.parametrize("device", [CPU, CUDA])
def test_a_broken_file_is_not_the_devices_fault(device: Device) -> None:
    error = type("InvalidProtobuf", (Exception,), {})("x")
    assert isinstance(provider_errors.explain_failed_session(ORT, error, PATH, device, ""), BundleError)


def test_the_linker_is_asked_for_the_providers_own_library(tmp_path: Path) -> None:
    capi = tmp_path / "onnxruntime" / "capi"
    capi.mkdir(parents=True)
    ort: Any = SimpleNamespace(__file__=str(tmp_path / "onnxruntime" / "__init__.py"))
    assert provider_errors.read_linker_error(ort, "CUDAExecutionProvider") == ""
    for name in ("shared", "cuda"):
        (capi / f"libonnxruntime_providers_{name}.so").write_bytes(b"no library")
        (capi / f"onnxruntime_providers_{name}.dll").write_bytes(b"no library")
    assert "providers_shared" in provider_errors.read_linker_error(ort, "CUDAExecutionProvider")


def test_an_onnxruntime_that_does_not_follow_the_links_of_the_hubs_cache_is_to_be_upgraded(tmp_path: Path) -> None:
    link = tmp_path / "model.onnx"
    link.symlink_to(tmp_path / "blob")
    # Seen with onnxruntime 1.24.1.
    words = 'ValidateExternalDataPath External data path: "model.onnx_data" escapes model directory: "/cache/onnx"'
    error = provider_errors.explain_failed_session(ORT, RuntimeError(words), link, CPU, "")
    assert isinstance(error, BundleError)
    assert "does not follow the links" in str(error)
    assert "pip install --upgrade onnxruntime" in str(error)
    assert "upgrade" not in str(provider_errors.explain_failed_session(ORT, RuntimeError(words), PATH, CPU, ""))
