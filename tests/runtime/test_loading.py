"""device="auto" with pretended GPUs (pretend_gpu.py), and what it says."""

import logging
from pathlib import Path
from typing import Any

import pytest

import assay
from assay import BundleError, InputError, ProviderError
from assay.gpu import session
from tests.runtime import pretend_gpu, tiny


@pytest.fixture(autouse=True)
def _at_info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "assay")


def test_auto_takes_the_first_gpu_and_says_so_at_info(
    pair_bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pretend_gpu.install(monkeypatch, tmp_path)
    model = assay.load(pair_bundle, device="auto")
    assert model.info["device"] == "cuda:0"
    assert model.info["why"]["device"] == "auto: Pretend"
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "device auto: cuda:0, Pretend, variant fp32")
    ]


def test_auto_without_a_gpu_takes_the_cpu_and_says_so_at_info(
    pair_bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pretend_gpu.install(monkeypatch, tmp_path, cards=())
    model = assay.load(pair_bundle, device="auto", gpu_memory=1 << 30, cuda_graphs=True)
    assert (model.info["device"], model.info["dialect"]) == ("cpu", "cpu")
    assert model.info["why"]["device"] == "auto: there is no GPU here"
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "cpu, variant fp32 (there is no GPU here)" in caplog.text


def test_auto_warns_where_a_gpu_is_there_and_does_not_load(
    pair_bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pretend_gpu.install(monkeypatch, tmp_path)

    def fail(*_: Any) -> None:
        raise ProviderError("libcublas.so.13 is missing; pip install 'assay[gpu]'")

    monkeypatch.setattr(session, "_refuse_data_on_cpu", fail)
    model = assay.load(pair_bundle, device="auto")
    assert model.info["device"] == "cpu"
    warning, info = caplog.records
    assert (warning.levelname, info.levelname) == ("WARNING", "INFO")
    assert "Pretend is not used: libcublas.so.13 is missing; pip install" in warning.getMessage()


def test_auto_with_an_onnx_runtime_for_the_cpu_beside_a_gpu_warns_with_the_cure(
    pair_bundle: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from assay.gpu import driver

    monkeypatch.setattr(driver, "find", lambda: driver.Driver((pretend_gpu.CARD,), "13.1", ""))
    if "CUDAExecutionProvider" in __import__("onnxruntime").get_available_providers():
        pytest.skip("this ONNX Runtime is one for GPUs")
    assert assay.load(pair_bundle, device="auto").info["device"] == "cpu"
    assert caplog.records[0].levelname == "WARNING"
    assert "needs CUDAExecutionProvider" in caplog.text
    assert "pip install 'assay[gpu]'" in caplog.text


def test_auto_keeps_to_the_cpu_for_a_variant_that_is_for_the_cpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pretend_gpu.install(monkeypatch, tmp_path / "cache")
    variants = tiny.document()["variants"] | {"int8": {"cpu": tiny.entry("onnx/model_int8.onnx", ["input_ids"])}}
    folder = tiny.write(tmp_path / "bundle", variants=variants)
    model = assay.load(folder, device="auto", variant="int8")
    assert (model.info["device"], model.info["variant"]) == ("cpu", "int8")
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "variant int8 is not for a GPU" in caplog.text


def test_auto_does_not_hide_a_damaged_bundle_or_an_unknown_variant(
    own_bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pretend_gpu.install(monkeypatch, tmp_path / "cache")
    with pytest.raises(BundleError, match="has no variant int4 for cpu"):
        assay.load(own_bundle, device="auto", variant="int4")
    (own_bundle / "onnx/model.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match=r"model\.onnx: has 0 bytes"):
        assay.load(own_bundle, device="auto")


def test_the_second_gpu_is_loaded_by_its_number(
    pair_bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    created = pretend_gpu.install(monkeypatch, tmp_path)
    assert assay.load(pair_bundle, device="cuda:1").info["device"] == "cuda:1"
    assert created == [("cuda:1", None, False)]


@pytest.mark.parametrize("device", ["AUTO", "auto:0", "auto "])
def test_auto_is_spelled_one_way(device: str, pair_bundle: Path) -> None:
    with pytest.raises(InputError, match="device is"):
        assay.load(pair_bundle, device=device)
