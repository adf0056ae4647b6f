from pathlib import Path
from typing import Any

import onnx
import pytest

from assay import ProviderError
from assay.devices import Device
from assay.gpu import probe
from assay.ort import installation, provider_errors
from tests.runtime import pretend_gpu

CUDA = Device("cuda", 0)


def test_the_graph_of_the_probe_is_a_valid_model_with_one_operator() -> None:
    model = onnx.load_from_string(probe._GRAPH)
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["Identity"]


def test_a_provider_that_loads_passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    created = pretend_gpu.install(monkeypatch, tmp_path)
    probe.check_cuda(CUDA)
    assert created == [("cuda:0", None, False)]


def test_a_provider_that_this_build_lacks_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation.onnxruntime(), "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(ProviderError, match="needs CUDAExecutionProvider"):
        probe.check_cuda(CUDA)


def test_a_provider_that_is_dropped_silently_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend_gpu.install(monkeypatch, tmp_path)
    ort = installation.onnxruntime()
    session = ort.InferenceSession(probe._GRAPH, providers=["CPUExecutionProvider"])
    monkeypatch.setattr(session, "get_providers", lambda: [])
    monkeypatch.setattr(ort, "InferenceSession", lambda *_, **__: session)
    monkeypatch.setattr(provider_errors, "read_linker_error", lambda *_: "libcurand.so.10: cannot open")
    with pytest.raises(ProviderError, match=r"did not load for device 'cuda:0': .*libcurand\.so\.10 is missing"):
        probe.check_cuda(CUDA)


def test_a_driver_that_fails_is_an_error_with_the_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend_gpu.install(monkeypatch, tmp_path)

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version ; GPU=-1")

    monkeypatch.setattr(installation.onnxruntime(), "InferenceSession", fail)
    with pytest.raises(ProviderError, match=r"^no session could be created on cuda:0: the NVIDIA driver is older than"):
        probe.check_cuda(CUDA)
