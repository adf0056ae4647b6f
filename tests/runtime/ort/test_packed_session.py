"""assay.ort.packed_session: rows of any lengths in one call."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import assay
from assay.models.base import runner_of
from assay.ort import kernels
from assay.ort.packed_session import PackedSession
from tests.runtime import tiny

needs_kernels = pytest.mark.skipif(kernels.find_problem() is not None, reason=str(kernels.find_problem()))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of fp32, int8 for the kernels and int8_ort, all with the same weights."""
    variants = {
        "fp32": {"cpu": tiny.entry("onnx/model_cpu.onnx", ["input_ids"])},
        "int8": {"kernels": tiny.entry("onnx/model_int8.onnx", ["input_ids", "row_starts"])},
        "int8_ort": {"cpu": tiny.entry("onnx/model_int8_ort.onnx", ["input_ids"])},
    }
    return tiny.write(tmp_path_factory.mktemp("bundles") / "int8", variants=variants)


@needs_kernels
@pytest.mark.parametrize("mode", ["latency", "throughput"])
def test_packed_rows_of_any_lengths_are_answered_in_their_order(mode: Any, bundle: Path) -> None:
    pairs = [("what " * (number % 6), "rain " * (number % 4)) for number in range(200)]
    expected = assay.load(bundle, variant="fp32", threads=1).logits(pairs)
    with assay.load(bundle, variant="int8", threads=2, mode=mode) as model:
        assert isinstance(runner_of(model).engine.get().session, PackedSession)
        assert model.info["dialect"] == "kernels"
        assert model.info["instruction_set"] == kernels.read_instruction_set()
        np.testing.assert_allclose(model.logits(pairs), expected, atol=1e-4)


@needs_kernels
def test_token_types_of_packed_rows_reach_a_graph_that_takes_them(tmp_path: Path) -> None:
    inputs = ["input_ids", "row_starts", "token_type_ids"]
    variants = {
        "fp32": {"cpu": tiny.entry("onnx/model_cpu.onnx", ["input_ids"])},
        "int8": {"kernels": tiny.entry("onnx/model_int8.onnx", inputs)},
    }
    folder = tiny.write(tmp_path / "types", variants=variants)
    pairs = [("a b", "c"), ("a", "b c d")]
    expected = assay.load(folder, variant="fp32", threads=1).logits(pairs)
    np.testing.assert_allclose(assay.load(folder, variant="int8", threads=1).logits(pairs), expected, atol=1e-5)


@needs_kernels
def test_rows_of_different_lengths_share_a_call(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[int]] = []
    answer = PackedSession.answer

    def record(self: PackedSession, tokens: Any) -> Any:
        calls.append([len(row.ids) for row in tokens])
        return answer(self, tokens)

    monkeypatch.setattr(PackedSession, "answer", record)
    assay.load(bundle, variant="int8", threads=1).logits([("a", "b"), ("a b c", "d"), ("a b", "c d e")])
    assert calls == [[8, 7, 5]]


@needs_kernels
def test_int8_ort_is_passed_over_where_its_products_saturate(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "assay_kernels", None)
    monkeypatch.setattr("assay.ort.saturation.find_problem", lambda: "its products saturate here")
    info = assay.load(bundle, threads=1).info
    assert info["variant"] == "fp32"
    assert info["why"]["variant"].endswith("; int8_ort is not used: its products saturate here")
