"""The probe of many rows: batches answer in order, the fastest settings go on, and blocks are answered in turns."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from assay.inputs.validation import Row
from assay.ort import kernels
from benchmarks.engines import openvino
from benchmarks.machine import peaks
from benchmarks.probes import many_rows
from benchmarks.probes.many_rows import ASSAY, answer_sample, choose_finalists, format_table, main, take_turns
from tests.conftest import CHECKPOINTS


def test_all_contenders_answer_every_block(
    pair_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for package in ("openvino", "nncf", "transformers"):
        pytest.importorskip(package)
    if problem := kernels.find_problem():
        pytest.skip(problem)
    rates = {"int8_a": 1e12, "read_bytes": 1e10}
    monkeypatch.setattr(peaks, "measure", lambda: peaks.Peaks(rates, rates))
    monkeypatch.setattr(openvino, "CALIBRATION_ROWS", 1)
    monkeypatch.setattr(many_rows, "BATCHES", (1, 4))
    words = [str(CHECKPOINTS / "pair-classifier"), str(pair_bundle), "--rows", "12", "--block", "6", "--sample", "2"]
    assert main([*words, "--ungated", "--work", str(tmp_path), "--json", str(tmp_path / "out.json")]) == 0
    result = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["rows_per_second"]
    assert len([name for name in result if name.startswith("OpenVINO")]) == many_rows.FINALISTS
    assert len([name for name in result if name.startswith("transformers")]) == 2
    assert all(len(values) == 2 for values in result.values())
    printed = capsys.readouterr().out
    assert "Best of OpenVINO: OpenVINO int8" in printed
    assert "measured peaks" in printed


def test_padded_batches_answer_in_the_order_of_the_rows(pair_bundle: Path) -> None:
    pytest.importorskip("openvino")
    call = openvino.open_batches(pair_bundle / "onnx" / "model.onnx", 1, 1)
    rows = [np.array([1, *range(5, 5 + length), 2]) for length in (4, 30, 2, 9, 17)]
    np.testing.assert_allclose(call(rows, 2), call(rows, 1), atol=1e-4)
    assert len(np.unique(call(rows, 1)[:, 0])) == len(rows)


def test_the_fastest_settings_go_on() -> None:
    def make(seconds: float) -> Callable[[Sequence[Row]], None]:
        return lambda _: time.sleep(seconds)

    settings = {str(seconds): make(seconds) for seconds in (0.05, 0.001, 0.1, 0.02)}
    assert list(choose_finalists(settings, ["a"])) == ["0.001", "0.02", "0.05"]


def test_a_sample_counts_its_own_rows_and_the_table_names_the_best_setting() -> None:
    seen: list[int] = []
    sampled = answer_sample(lambda rows, batch: seen.append(len(rows) * batch), 2, 10)
    take_turns({ASSAY: len, "pipeline": sampled}, [["a", "b", "c"]] * 2, {"pipeline": 2})
    assert seen == [20, 20, 20]  # the first turn warms up
    table = format_table({ASSAY: [20.0, 20.0], "OpenVINO a": [10.0, 10.0], "OpenVINO b": [16.0, 16.0]})
    assert "| OpenVINO a | 10.0 (10.0..10.0) | 2.00 (2.00..2.00) |" in table
    assert table.endswith("Best of OpenVINO: OpenVINO b. assay's rate / this: 1.25 (1.25..1.25).")


def test_a_bundle_without_int8_is_one_line_and_exit_code_1(
    pair_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for package in ("openvino", "nncf", "transformers"):
        pytest.importorskip(package)
    assert main([str(tmp_path), str(pair_bundle)]) == 1
    error = capsys.readouterr().err
    assert "has no int8 variant: export it with --variants fp32,int8, or pass --ungated for a stand-in" in error
    assert error.count("\n") == 1


def test_a_sample_larger_than_a_block_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([str(tmp_path), str(tmp_path), "--block", "8", "--sample", "9"])
    assert stopped.value.code == 2
