"""The probe of int8 peers: its tables, its texts, and its error for a missing package."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from assay.ort import kernels
from benchmarks.engines import openvino
from benchmarks.machine import peaks
from benchmarks.probes import int8_peers
from benchmarks.probes.int8_peers import (
    ASSAY,
    KERNELS,
    MANY,
    ONE,
    OPENVINO,
    PRODUCTS,
    TORCH,
    count_calls,
    cut,
    format_table,
    main,
)
from benchmarks.standins import plain_int8
from tests.conftest import CHECKPOINTS


def test_the_table_has_a_row_per_length_with_the_share_of_the_floor_and_the_ratios() -> None:
    times = {ASSAY: [2.0, 2.0], OPENVINO: [4.0, 4.0], KERNELS: [1.6, 1.6], PRODUCTS: [1.0, 1.0], TORCH: [30.0, 30.0]}
    head, _, first, second = format_table({16: times, 64: times}, {16: 0.5, 64: 1.0}).splitlines()
    assert "| floor, ms | floor / assay int8 | assay int8 / OpenVINO int8 | assay int8 / bare products of the" in head
    shares = "0.50 | 0.25 (0.25..0.25) | 0.50 (0.50..0.50) | 1.25 (1.25..1.25) | 2.00 (2.00..2.00)"
    assert first == f"| 16 | 2.0 | 4.0 | 1.6 | 1.0 | 30.0 | {shares} | 15.00 (15.00..15.00) |"
    assert second.startswith("| 64 |")
    assert head.count("|") == first.count("|")
    without = format_table({16: {name: times[name] for name in (ASSAY, OPENVINO, PRODUCTS)}}, {16: 1.0})
    assert "torch" not in without
    assert "kernels" not in without


def test_a_modernbert_is_measured_in_both_modes_with_its_floor(
    scorer_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for package in ("openvino", "nncf"):
        pytest.importorskip(package)
    if problem := kernels.find_problem():
        pytest.skip(problem)
    monkeypatch.setattr(openvino, "CALIBRATION_ROWS", 1)
    rates = {"int8_a": 1e12, "read_bytes": 1e10}
    monkeypatch.setattr(peaks, "measure", lambda: peaks.Peaks(rates, rates))
    checkpoint = CHECKPOINTS / "complexity-adapter"
    int8 = plain_int8.save(plain_int8.load(checkpoint), plain_int8.PlainRecipes(), tmp_path / "int8")
    words = [str(checkpoint), str(scorer_bundle), "--int8", str(int8), "--lengths", "16", "--rounds", "1"]
    assert main([*words, "--work", str(tmp_path), "--json", str(tmp_path / "out.json")]) == 0
    printed = capsys.readouterr().out
    assert printed.count("| 16 |") == 2
    assert "measured peaks" in printed
    result = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    for mode in (ONE, MANY):
        assert set(result["milliseconds"][mode]["16"]) == {ASSAY, OPENVINO, KERNELS, PRODUCTS}
    assert result["floor_milliseconds"]["16"] > 0


@pytest.mark.parametrize("mode", [ONE, MANY])
@pytest.mark.parametrize("seconds", [1e-4, 0.03, 9.0])
def test_a_turn_keeps_every_core_equally_busy(mode: str, seconds: float) -> None:
    calls = count_calls(mode, seconds, 3)
    assert calls % 3 == 0
    assert int8_peers.FEWEST_CALLS <= calls <= int8_peers.MOST_CALLS + 2


def test_texts_have_the_exact_length_between_their_special_tokens_and_start_again_where_the_rows_end() -> None:
    rows = [np.array([[1, 10, 11, 2]]), np.array([[1, 12, 2]])]
    texts = cut(rows, 6, 2)
    assert [text.tolist() for text in texts] == [[[1, 10, 11, 12, 10, 2]], [[1, 11, 12, 10, 11, 2]]]
    assert all(text.dtype == np.int64 for text in texts)


@pytest.mark.parametrize("package", ["openvino", "nncf"])
def test_a_missing_peer_is_one_line_that_names_the_extra_to_install(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for present in {"openvino", "nncf"} - {package}:
        monkeypatch.setitem(sys.modules, present, sys)
    monkeypatch.setitem(sys.modules, package, None)  # what Python takes for a module that is not there
    assert main([str(tmp_path), str(tmp_path), "--work", str(tmp_path / "work")]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: OpenVINO int8 needs {package}, which is not installed")
    assert error.endswith("pip install 'assay[bench]'\n")
    assert error.count("\n") == 1
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("option", [["--rounds", "0"], ["--lengths", "16,many"]])
def test_an_option_that_is_no_number_of_rounds_or_tokens_is_a_usage_error(option: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([str(tmp_path), str(tmp_path), *option])
    assert stopped.value.code == 2
