"""Everything about a GPU session but the GPU: see pretend_gpu.py. tests/gpu has the rest."""

import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import assay
from assay import BundleError, Classifier, ProviderError
from assay.bundle.manifest import Graph
from assay.devices import Device
from assay.gpu import session as gpu_session
from assay.gpu.driver import Driver, Gpu
from assay.gpu.session import GpuSession, make_engine_key
from tests.runtime import pretend_gpu, tiny

REFUSE = gpu_session._refuse_data_on_cpu  # which pretend_gpu replaces
PAIRS = [("a " * first, "b " * second) for first in range(6) for second in range(6)]


@pytest.fixture
def created(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    return pretend_gpu.install(monkeypatch, tmp_path / "cache")


@pytest.fixture(scope="module")
def long_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of pairs that reads 100 tokens: buckets of 32, 64 and 100."""
    return tiny.write(tmp_path_factory.mktemp("bundles") / "long", max_length=100)


def shapes_of_runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """A list that fills with the shapes of the calls."""
    shapes: list[tuple[int, ...]] = []
    stack = gpu_session.pad_rows

    def record(tokens: Any, shape: tuple[int, int], pad: int) -> Any:
        shapes.append(shape)
        return stack(tokens, shape, pad)

    monkeypatch.setattr(gpu_session, "pad_rows", record)
    return shapes


@pytest.mark.usefixtures("created")
def test_rows_are_padded_to_their_bucket_with_the_bundles_pad_token_and_share_calls(
    long_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = shapes_of_runs(monkeypatch)
    model = assay.load(long_bundle, device="cuda")
    assert shapes == [(19, 32)]  # the run that loads the kernels
    rows = [("a " * 10, "b"), ("a " * 40, "b"), ("a", "b"), ("a " * 80, "b " * 80)]
    assert model.logits(rows).shape == (4, 3)
    assert shapes[1:] == [(1, 100), (1, 64), (2, 32)]


@pytest.mark.usefixtures("created")
def test_padded_rows_have_the_logits_of_the_masked_graph(long_bundle: Path) -> None:
    model = assay.load(long_bundle, device="cuda")
    on_cpu = assay.load(long_bundle, device="cpu", threads=1)
    # The tiny graph divides by the padded length: undo it, and what is left is that the mask hid the padding.
    bias = tiny.weights(3)["bias"]
    for pair in PAIRS:
        length = len(on_cpu._tokenizer.encode([pair], False, None)[0].ids)
        scaled = (model.logits([pair]) - bias) * 32 / length
        assert np.allclose(scaled, on_cpu.logits([pair]) - bias, atol=1e-5)


def test_info_says_what_loaded_and_how_many_operators_run_where(long_bundle: Path, created: list[Any]) -> None:
    model = assay.load(long_bundle, device="cuda:0", gpu_memory=1 << 30)
    assert created == [("cuda:0", 1 << 30, False)]
    assert model.info["nodes"] == {pretend_gpu.CPU: 6}
    assert model.info["why"] == {"device": "asked for", "variant": "auto: on cuda the bundle has no fp16"}
    assert (model.info["device"], model.info["dialect"]) == ("cuda:0", "portable")


@pytest.mark.usefixtures("created")
def test_operators_on_the_cpu_that_compute_on_data_are_refused_by_name(
    long_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_session, "_refuse_data_on_cpu", REFUSE)
    with pytest.raises(ProviderError, match=r"onnx: 6 operators were placed on the CPU and not on cuda:0 \(1 Cast"):
        assay.load(long_bundle, device="cuda")


def test_with_cuda_graphs_batches_are_padded_to_powers_of_two(
    long_bundle: Path, created: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = shapes_of_runs(monkeypatch)
    model = assay.load(long_bundle, device="cuda", cuda_graphs=True)
    assert created == [("cuda:0", None, True)]
    del shapes[:]
    for rows in (1, 2, 3, 5, 30):
        assert model.logits([("a", "b")] * rows).shape == (rows, 3)
    assert shapes == [(1, 32), (2, 32), (4, 32), (8, 32), (32, 32)]


def test_rows_of_one_call_are_answered_in_order_with_and_without_cuda_graphs(
    long_bundle: Path, created: list[Any]
) -> None:
    plain = assay.load(long_bundle, device="cuda").logits(PAIRS)
    captured = assay.load(long_bundle, device="cuda", cuda_graphs=True).logits(PAIRS)
    assert len(created) == 2
    assert np.allclose(plain, captured, atol=1e-6)
    assert len(np.unique(plain[:, 0])) > 10


def test_tensorrt_creates_a_session_per_bucket_on_first_use(long_bundle: Path, created: list[Any]) -> None:
    model = assay.load(long_bundle, device="tensorrt")
    assert created == [("tensorrt", 32, "builds")]
    model.logits([("a " * 60, "b"), ("a", "b")])
    model.logits([("a " * 60, "b"), ("a", "b")])
    assert created[1:] == [("tensorrt", 64, "builds")]
    again = assay.load(long_bundle, device="tensorrt")
    again.logits([("a " * 60, "b")])
    assert created[2:] == [("tensorrt", 32, "loads"), ("tensorrt", 64, "loads")]


def test_other_weights_have_separate_engines(long_bundle: Path, created: list[Any], tmp_path: Path) -> None:
    assay.load(long_bundle, device="tensorrt")
    other = tiny.write(tmp_path / "other", arrays=tiny.weights(3, seed=1), max_length=100)
    assay.load(other, device="tensorrt")
    assert [state for _, _, state in created] == ["builds", "builds"]


def test_damaged_weights_build_no_engine_even_unverified(long_bundle: Path, created: list[Any], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(long_bundle, tmp_path / "damaged"))
    data = folder / "onnx/model.onnx_data"
    data.write_bytes(b"1" + data.read_bytes()[1:])
    with pytest.raises(BundleError, match="is damaged or changed"):
        assay.load(folder, device="tensorrt", verify=False)
    assert created == []


def test_a_session_that_fails_to_build_leaves_no_engine(
    long_bundle: Path, created: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ProviderError("no")

    with monkeypatch.context() as patched:
        patched.setattr(gpu_session, "_refuse_data_on_cpu", fail)
        with pytest.raises(ProviderError):
            assay.load(long_bundle, device="tensorrt")
    assay.load(long_bundle, device="tensorrt")
    assert [state for _, _, state in created] == ["builds", "builds"]


@pytest.mark.usefixtures("created")
def test_threads_share_a_session(long_bundle: Path) -> None:
    model = assay.load(long_bundle, device="cuda")
    assert isinstance(model, Classifier)
    expected = model.logits(PAIRS)
    results: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: results.append(model.logits(PAIRS))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all(np.array_equal(logits, expected) for logits in results)


@pytest.mark.usefixtures("created")
def test_a_run_that_exhausts_the_memory_is_a_provider_error(long_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = assay.load(long_bundle, device="cuda")
    session = model._engine.get().session
    assert isinstance(session, GpuSession)

    def full(*_: Any) -> None:
        raise RuntimeError("Available memory of 1024 is smaller than requested bytes of 4096")

    (run,) = session._runs.values()
    monkeypatch.setitem(session._runs, 0, gpu_session._Run(full, run.providers, run.nodes))
    with pytest.raises(ProviderError, match=r"shape 1x32: the GPU's memory is full .*gpu_memory"):
        model.logits([("a", "b")])


GRAPH = Graph("onnx/model.onnx", ("onnx/model.onnx_data",), ("input_ids",), "all", {})
HASHES = {"onnx/model.onnx": "11", "onnx/model.onnx_data": "22"}


class Runtime:
    __version__ = "1.31.1"
    cuda_version = "13.0"


def key(**changes: Any) -> dict[str, str]:
    card = changes.pop("card", Gpu("NVIDIA L4", "8.9", 24 << 30))
    runtime = type("Other", (Runtime,), {name: changes.pop(name) for name in list(changes) if hasattr(Runtime, name)})
    return make_engine_key(
        runtime, Device("tensorrt", 0), GRAPH, HASHES | changes.pop("hashes", {}), Driver((card,), "", "")
    )


@pytest.mark.parametrize(
    "change",
    [
        {"card": Gpu("NVIDIA L40", "8.9", 24 << 30)},
        {"card": Gpu("NVIDIA L4", "9.0", 24 << 30)},
        {"card": Gpu("NVIDIA L4", "8.9", 12 << 30)},
        {"__version__": "1.31.2"},
        {"cuda_version": "12.8"},
        {"hashes": {"onnx/model.onnx": "12"}},
        {"hashes": {"onnx/model.onnx_data": "12"}},
    ],
)
def test_the_key_of_an_engine_changes_with_everything_it_depends_on(
    change: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_session, "_read_tensorrt_version", lambda _: "101303")
    assert key(**change) != key() == key()
    before = key()
    monkeypatch.setattr(gpu_session, "_read_tensorrt_version", lambda _: "101400")
    assert key() != before


def test_a_missing_gpu_has_no_engines() -> None:
    with pytest.raises(ProviderError, match="no NVIDIA driver here"):
        make_engine_key(Runtime, Device("tensorrt", 0), GRAPH, HASHES, Driver((), "", "there is no NVIDIA driver here"))


@pytest.mark.skipif(Path("/usr/lib/x86_64-linux-gnu/libnvinfer.so.10").exists(), reason="TensorRT 10 is installed")
def test_without_tensorrt_its_version_is_a_provider_error() -> None:
    card = Gpu("NVIDIA L4", "8.9", 24 << 30)
    with pytest.raises(ProviderError, match=r"TensorrtExecutionProvider did not load.*TensorRT 10 is not installed"):
        make_engine_key(Runtime, Device("tensorrt", 0), GRAPH, HASHES, Driver((card,), "", ""))
