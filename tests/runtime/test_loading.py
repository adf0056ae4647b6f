"""assay.load and its typed variants; device="auto" with pretended GPUs (pretend_gpu.py)."""

import logging
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import assay
from assay import BundleError, Classifier, InputError, ProviderError, Scorer, building
from assay.bundle.folder import Bundle
from assay.devices import Device
from assay.gpu import probe, session
from tests.runtime import pretend_gpu, tiny


@pytest.fixture(autouse=True)
def _at_info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "assay")


def test_auto_selects_the_first_gpu_and_logs_it_at_info(
    pair_bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pretend_gpu.install(monkeypatch, tmp_path)
    model = assay.load(pair_bundle, device="auto")
    assert model.info["device"] == "cuda:0"
    assert model.info["why"]["device"] == "auto: Pretend"
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "device auto: cuda:0, Pretend, variant fp32")
    ]


def test_auto_without_a_gpu_selects_the_cpu_and_logs_it_at_info(
    pair_bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pretend_gpu.install(monkeypatch, tmp_path, cards=())
    model = assay.load(pair_bundle, device="auto", gpu_memory=1 << 30, cuda_graphs=True)
    assert (model.info["device"], model.info["dialect"]) == ("cpu", "cpu")
    assert model.info["why"]["device"] == "auto: there is no GPU here"
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "cpu, variant fp32 (there is no GPU here)" in caplog.text


def test_auto_warns_if_there_is_a_gpu_that_does_not_load(
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


def test_auto_with_a_gpu_but_an_onnx_runtime_for_the_cpu_warns_with_the_remedy(
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


def test_auto_selects_the_cpu_for_a_variant_that_is_only_for_the_cpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pretend_gpu.install(monkeypatch, tmp_path / "cache")
    variants = tiny.document()["variants"] | {"int8": {"cpu": tiny.entry("onnx/model_int8.onnx", ["input_ids"])}}
    folder = tiny.write(tmp_path / "bundle", variants=variants)
    model = assay.load(folder, device="auto", variant="int8")
    assert (model.info["device"], model.info["variant"]) == ("cpu", "int8")
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "variant int8 is not for a GPU" in caplog.text


def test_auto_falls_back_to_the_cpu_where_only_the_graph_for_the_gpu_is_damaged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pretend_gpu.install(monkeypatch, tmp_path / "cache")
    fp16 = tiny.entry("onnx/model_fp16.onnx", ["input_ids", "attention_mask"], "model_fp16.onnx_data")
    variants = tiny.document()["variants"] | {"fp16": {"portable": fp16}}
    folder = tiny.write(tmp_path / "bundle", variants=variants)
    (folder / "onnx/model_fp16.onnx").write_bytes(b"")
    info = assay.load(folder, device="auto").info
    assert (info["device"], info["variant"]) == ("cpu", "fp32")
    assert "Pretend is not used: " in info["why"]["device"]
    assert "model_fp16.onnx: has 0 bytes" in info["why"]["device"]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_auto_does_not_hide_a_bundle_that_is_damaged_for_the_cpu_as_well(
    own_bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pretend_gpu.install(monkeypatch, tmp_path / "cache")
    (own_bundle / "onnx/model.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match=r"model\.onnx: has 0 bytes"):
        assay.load(own_bundle, device="auto")


def test_auto_reads_nothing_for_a_gpu_on_which_cuda_does_not_load(
    own_bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pretend_gpu.install(monkeypatch, tmp_path / "cache")
    hashed: list[str] = []
    monkeypatch.setattr(Bundle, "check_hashes", lambda _, names: hashed.append(",".join(names)))

    def fail(_: Device) -> None:
        assert hashed == []
        raise ProviderError("libcublas.so.13 is missing")

    monkeypatch.setattr(probe, "check_cuda", fail)
    model = assay.load(own_bundle, device="auto")
    assert model.info["why"]["device"] == "auto: Pretend is not used: libcublas.so.13 is missing"
    assert hashed
    assert not any("fp16" in names for names in hashed)


def test_the_second_gpu_is_loaded_by_its_number(
    pair_bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    created = pretend_gpu.install(monkeypatch, tmp_path)
    assert assay.load(pair_bundle, device="cuda:1").info["device"] == "cuda:1"
    assert created == [("cuda:1", None, False)]


@pytest.mark.parametrize("device", ["AUTO", "auto:0", "auto "])
def test_auto_has_one_spelling(device: str, pair_bundle: Path) -> None:
    with pytest.raises(InputError, match="device is"):
        assay.load(pair_bundle, device=device)


def test_the_typed_loaders_return_their_kind(pair_bundle: Path, score_bundle: Path) -> None:
    judge: Classifier = assay.load_classifier(pair_bundle, threads=1, mode="throughput")
    either: Any = assay.load(pair_bundle, threads=1)
    assert judge.predict("a", "b") == either.predict("a", "b")
    assert (judge.info["threads"], judge.info["mode"]) == (1, "throughput")
    scorer: Scorer = assay.load_scorer(score_bundle, threads=1)
    either = assay.load(score_bundle, threads=1)
    assert scorer.score("a") == either.score("a")


def test_the_typed_loaders_name_the_function_for_the_other_kind(pair_bundle: Path, score_bundle: Path) -> None:
    with pytest.raises(InputError, match=r"is a regression bundle, expected a classification .*assay\.load_scorer"):
        assay.load_classifier(score_bundle)
    with pytest.raises(InputError, match=r"is a classification bundle, expected a regression .*assay\.load_classifier"):
        assay.load_scorer(pair_bundle)


def test_the_typed_loaders_refuse_the_other_kind_before_any_graph_is_read(own_bundle: Path) -> None:
    (own_bundle / "onnx/model_cpu.onnx").unlink()
    with pytest.raises(InputError, match="load_classifier"):
        assay.load_scorer(own_bundle)


def test_an_empty_path_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"path is '', expected .*'\.' is the current folder"):
        assay.load("")


@pytest.mark.parametrize(("mode", "found"), [("x", "'x'"), ("Latency", "'Latency'"), (None, "None"), (1, "the int 1")])
def test_an_unknown_mode_is_refused_with_the_two_valid_ones(mode: Any, found: str, pair_bundle: Path) -> None:
    with pytest.raises(InputError, match=f"mode is {found}, expected 'latency' or 'throughput'"):
        assay.load(pair_bundle, mode=mode)


def test_annotate_is_imported_on_first_use() -> None:
    from assay.annotate import annotate_file

    assert assay.annotate.annotate_file is annotate_file


def test_files_are_hashed_while_the_tokenizer_is_parsed(own_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads, hashes = threading.Event(), threading.Event()
    read_tokenizer, check_hashes = Bundle.read_tokenizer, Bundle.check_hashes

    def read(bundle: Bundle, verify: bool) -> bytes:
        reads.set()
        assert hashes.wait(10)
        return read_tokenizer(bundle, verify)

    def check(bundle: Bundle, names: list[str]) -> None:
        if len(names) > 1:  # the graph is checked by itself first, before ONNX Runtime parses it
            hashes.set()
            assert reads.wait(10)
        check_hashes(bundle, names)

    monkeypatch.setattr(Bundle, "read_tokenizer", read)
    monkeypatch.setattr(Bundle, "check_hashes", check)
    assert assay.load(own_bundle).info["variant"] == "fp32"


def test_every_damaged_file_is_named_even_if_the_tokenizer_is_one_of_them(own_bundle: Path) -> None:
    for name in ("tokenizer.json", "onnx/model.onnx"):
        content = bytearray((own_bundle / name).read_bytes())
        content[len(content) // 2] ^= 1
        (own_bundle / name).write_bytes(content)
    with pytest.raises(BundleError, match=r"model\.onnx: is damaged.*tokenizer\.json: is damaged"):
        assay.load(own_bundle)


def test_onnx_runtime_is_not_given_a_damaged_graph(own_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytearray((own_bundle / "onnx/model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (own_bundle / "onnx/model.onnx").write_bytes(content)

    def fail(*_: object) -> None:
        raise AssertionError("the session was made")

    monkeypatch.setattr(building, "GraphSession", fail)
    with pytest.raises(BundleError, match=r"model\.onnx: is damaged"):
        assay.load(own_bundle, variant="fp32")


def test_a_gpu_session_waits_until_every_file_is_hashed(
    own_bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pretend_gpu.install(monkeypatch, tmp_path / "cache")
    check_hashes, make_engine, hashed = Bundle.check_hashes, building._make_engine, threading.Event()

    def check(bundle: Bundle, names: list[str]) -> None:
        time.sleep(0.2)
        check_hashes(bundle, names)
        hashed.set()

    def make(*arguments: Any) -> Any:
        assert hashed.is_set()
        return make_engine(*arguments)

    monkeypatch.setattr(Bundle, "check_hashes", check)
    monkeypatch.setattr(building, "_make_engine", make)
    assert assay.load(own_bundle, device="cuda").info["device"] == "cuda:0"
