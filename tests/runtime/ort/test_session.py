from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import assay
from assay import BundleError, InputError, ProviderError
from assay.bundle.manifest import Graph
from assay.devices import parse_device
from assay.gpu import session as gpu_session
from assay.ort import installation, session
from assay.ort.session import GraphSession
from tests.runtime import tiny


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("threads", [0, -1, 1.0, True, "2", 1_025, 10**30, b"1"]),
        ("variant", [None, 8, b"fp32", ["fp32"]]),
        ("verify", [None, 0, 1, "no"]),
        ("cuda_graphs", [None, 0, 1, "no"]),
        ("gpu_memory", [0, -1, 1.0, True, "2", 1 << 63]),
    ],
)
def test_an_option_of_the_wrong_type_is_refused_by_name(option: str, values: list[Any], pair_bundle: Path) -> None:
    for value in values:
        with pytest.raises(InputError, match=f"{option} is"):
            assay.load(pair_bundle, **{option: value})


@pytest.mark.parametrize(("device", "provider"), [("cuda", "CUDA"), ("cuda:1", "CUDA"), ("tensorrt", "Tensorrt")])
def test_a_provider_that_this_build_lacks_is_refused_with_the_build_that_has_it(
    device: str, provider: str, pair_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation.onnxruntime(), "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(ProviderError, match=rf"{provider}ExecutionProvider.*CPUExecutionProvider.*'assay\[gpu\]'"):
        assay.load(pair_bundle, device=device)


def fake_runtime(monkeypatch: pytest.MonkeyPatch, loaded: list[str], preload: str = "pass") -> None:
    """An ONNX Runtime that lists every provider and loads `loaded`, as a GPU build without its libraries does.

    `preload` is the body of its preload_dlls.
    """
    real = installation.onnxruntime()
    levels: list[int] = []

    class Session:
        def __init__(self, *_: Any, **options: Any) -> None:
            assert options["enable_fallback"] == 0
            assert levels[-1:] == [4]  # ONNX Runtime prints nothing of what is raised

        def get_providers(self) -> list[str]:
            return loaded

        def get_inputs(self) -> list[Any]:
            return [SimpleNamespace(name=name, type="tensor(int64)") for name in ("input_ids", "attention_mask")]

        def get_outputs(self) -> list[Any]:
            return [SimpleNamespace(name="logits")]

    available = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    fake = ModuleType("onnxruntime")
    for name in ("SessionOptions", "ExecutionMode", "GraphOptimizationLevel"):
        setattr(fake, name, getattr(real, name))
    fake.__dict__.update(
        __version__="1.0",
        InferenceSession=Session,
        get_available_providers=lambda: available,
        set_default_logger_severity=levels.append,
    )
    exec(f"def preload_dlls():\n    {preload}", fake.__dict__)
    monkeypatch.setattr(installation, "onnxruntime", lambda: fake)
    monkeypatch.setattr(gpu_session, "engine_key", lambda *_: {"key": "of a test"})


@pytest.mark.parametrize(
    ("device", "loaded"),
    [
        ("cuda", ["CPUExecutionProvider"]),
        ("tensorrt", ["CUDAExecutionProvider", "CPUExecutionProvider"]),
        ("tensorrt", ["TensorrtExecutionProvider", "CPUExecutionProvider"]),
    ],
)
def test_a_provider_that_was_dropped_in_silence_is_an_error_with_the_loaders_words(
    device: str,
    loaded: list[str],
    pair_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    fake_runtime(monkeypatch, loaded, "print('Failed to load\\nlibcudnn.so.9')")
    with pytest.raises(ProviderError, match=r"did not load.*libcudnn\.so\.9.*pip install 'assay\[gpu\]'"):
        assay.load(pair_bundle, device=device)
    assert capsys.readouterr().out == ""
    assert installation.onnxruntime().set_default_logger_severity.__self__ == [4, 2]


def test_a_gpu_on_which_no_session_can_be_made_is_a_provider_error(
    pair_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_runtime(monkeypatch, [])

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("CUDA failure 101:\ninvalid device ordinal")

    monkeypatch.setattr(installation.onnxruntime(), "InferenceSession", fail)
    with pytest.raises(
        ProviderError, match=r"on cuda:9: there is no GPU with this number .CUDA failure 101: invalid device ordinal"
    ):
        assay.load(pair_bundle, device="cuda:9")


def test_a_graph_with_other_inputs_than_the_manifest_says_is_refused(tmp_path: Path) -> None:
    folder = tiny.write(tmp_path / "inputs")
    arrays = tiny.weights(3)
    (folder / "onnx/model_cpu.onnx").write_bytes(tiny.graph(arrays, ("input_ids", "attention_mask")))
    tiny.reseal(folder, tiny.document())
    with pytest.raises(BundleError, match=r"model_cpu\.onnx: takes"):
        assay.load(folder)


def test_a_run_that_fails_is_a_provider_error(pair_bundle: Path) -> None:
    graph = Graph("onnx/model_cpu.onnx", (), ("input_ids",), "all", {})
    loaded = GraphSession(pair_bundle / graph.file, graph, 3, parse_device("cpu"), 1)

    class Broken:
        def run(self, *_: Any) -> None:
            raise MemoryError("Failed to\nallocate memory")

    loaded._session = Broken()
    with pytest.raises(
        ProviderError, match=r"the run on cpu failed for token ids of shape 2x3 .Failed to allocate memory"
    ):
        loaded.logits(np.ones((2, 3), np.int64), np.zeros((2, 3), np.int64))


def test_threads_spin_between_operators_and_sleep_after_a_run() -> None:
    options = session.make_session_options(installation.onnxruntime(), Graph("", (), (), "extended", {}), 2)
    assert options.get_session_config_entry("session.intra_op.spin_duration_us") == "100"
    assert options.intra_op_num_threads == 2
    assert options.graph_optimization_level == installation.onnxruntime().GraphOptimizationLevel.ORT_ENABLE_EXTENDED


def test_nothing_is_printed_when_a_graph_fails(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tiny.write(tmp_path / "bad")
    (folder / "onnx/model.onnx_data").write_bytes(b"")
    tiny.reseal(folder, tiny.document())
    with pytest.raises(BundleError):
        assay.load(folder)
    arrays = tiny.weights(3)
    arrays["embedding"] = arrays["embedding"][:10]
    model = assay.load(tiny.write(tmp_path / "short", arrays=arrays), threads=1)
    with pytest.raises(BundleError):
        model.logits([("g", "g")])
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
