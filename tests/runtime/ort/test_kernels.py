"""assay.ort.kernels: loading with the CPU kernels, without them, and with an instruction set forced."""

import logging
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import assay
from assay.errors import BundleError, InstallationError
from assay.models.base import runner_of
from assay.ort import kernels, usable
from tests.runtime import tiny

LEAST = "plain"  # every machine has it


@pytest.fixture
def without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "assay_kernels", None)  # its import fails


@pytest.fixture
def with_kernels() -> None:
    if problem := kernels.find_problem():
        pytest.skip(problem)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """fp32, and int8 for packed rows."""
    variants = {
        "fp32": tiny.document()["variants"]["fp32"],
        "int8": {"kernels": tiny.entry("onnx/model_int8.onnx", ["input_ids", "row_starts"])},
    }
    return tiny.write(tmp_path_factory.mktemp("kernels") / "bundle", variants=variants)


@pytest.mark.usefixtures("without_kernels")
def test_int8_without_kernels_is_an_error_that_names_the_way_out(bundle: Path) -> None:
    with pytest.raises(
        BundleError, match=r"int8 is not used: the CPU kernels are not installed \(.*pip install assay-kernels, or load"
    ) as raised:
        assay.load(bundle, variant="int8")
    assert "\n" not in str(raised.value)


@pytest.mark.usefixtures("without_kernels")
def test_auto_without_kernels_takes_the_next_best_and_says_why(bundle: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "assay")
    model = assay.load(bundle, threads=1)
    assert model.info["variant"] == "fp32"
    why = model.info["why"]["variant"]
    assert "int8 is not used: the CPU kernels are not installed" in why
    assert "pip install assay-kernels" in why
    assert [record.getMessage() for record in caplog.records] == [f"variant fp32: {why}"]


@pytest.mark.usefixtures("without_kernels")
def test_a_bundle_without_int8_does_not_need_the_kernels(pair_bundle: Path) -> None:
    assert usable.find_unusable(["fp32", "fp16"]) == {}
    assert "not used" not in assay.load(pair_bundle, threads=1).info["why"]["variant"]


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (SimpleNamespace(), "the CPU kernels are incomplete"),
        (SimpleNamespace(library_path=lambda: "/no/such.so"), "the CPU kernels cannot run here"),
    ],
)
def test_a_broken_installation_of_the_kernels_is_a_problem_of_one_line(
    module: SimpleNamespace, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "assay_kernels", module)
    problem = kernels.find_problem()
    assert problem is not None
    assert message in problem
    assert "\n" not in problem


def test_a_library_that_onnxruntime_does_not_load_is_an_installation_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    library = tmp_path / "library.so"
    library.write_bytes(b"not a library")
    monkeypatch.setitem(sys.modules, "assay_kernels", SimpleNamespace(library_path=lambda: library))
    with pytest.raises(InstallationError, match=r"library\.so: ONNX Runtime does not load it .*pip install"):
        kernels.register(onnxruntime.SessionOptions())


@pytest.mark.usefixtures("with_kernels")
@pytest.mark.parametrize("name", ["sse2", "AVX2", " "])
def test_an_unknown_instruction_set_is_an_error_of_one_line(
    name: str, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_KERNELS_ISA", name)
    with pytest.raises(BundleError, match=rf"int8 is not used: .*ASSAY_KERNELS_ISA={name}.*{LEAST}") as raised:
        assay.load(bundle, variant="int8")
    assert "\n" not in str(raised.value)
    model = assay.load(bundle, threads=1)
    assert model.info["variant"] == "fp32"
    assert f"ASSAY_KERNELS_ISA={name}" in model.info["why"]["variant"]


@pytest.mark.usefixtures("with_kernels")
def test_a_graph_that_rejects_packed_rows_is_a_bundle_error(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class InvalidArgument(Exception): ...  # noqa: N818  # the name of ONNX Runtime's exception

    class Rejecting:
        def run(self, *_: object) -> None:
            raise InvalidArgument("row_starts ends with 5")

    model = assay.load(bundle, variant="int8", threads=1)
    monkeypatch.setattr(runner_of(model).engine.get().session, "_session", Rejecting())
    with pytest.raises(BundleError, match=r"token ids of shape 5 \(row_starts ends with 5\); export the bundle again"):
        model.logits([("a", "b")])


def test_auto_on_a_cpu_takes_int8_and_names_the_instruction_set(
    int8_pair_bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "assay")
    model = assay.load(int8_pair_bundle, threads=1)
    assert (model.info["variant"], model.info["dialect"]) == ("int8", "kernels")
    assert model.info["why"]["variant"] == "auto: first choice on cpu"
    assert model.info["instruction_set"] == kernels.read_instruction_set()
    assert f"the CPU kernels use {model.info['instruction_set']}" in caplog.text


def test_a_forced_instruction_set_is_the_one_that_info_names(
    int8_pair_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_KERNELS_ISA", LEAST)
    assert assay.load(int8_pair_bundle, threads=1).info["instruction_set"] == LEAST


def test_other_variants_have_no_instruction_set(int8_pair_bundle: Path) -> None:
    assert "instruction_set" not in assay.load(int8_pair_bundle, variant="fp32", threads=1).info
