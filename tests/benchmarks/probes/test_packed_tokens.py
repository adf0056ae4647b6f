"""The probe of packed calls: every budget answers in both modes, and the constants are the comparison."""

import json
from pathlib import Path

import pytest

from assay.ort import kernels
from benchmarks.machine import peaks
from benchmarks.probes.packed_tokens import CONSTANTS, format_table, main
from benchmarks.standins import plain_int8
from tests.conftest import CHECKPOINTS


def test_the_budgets_are_timed_in_both_modes_beside_the_constants(
    pair_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if problem := kernels.find_problem():
        pytest.skip(problem)
    rates = {"int8_a": 1e12, "read_bytes": 1e10}
    monkeypatch.setattr(peaks, "measure", lambda: peaks.Peaks(rates, rates))
    model = plain_int8.load(CHECKPOINTS / "pair-classifier")
    int8 = plain_int8.save(model, plain_int8.PlainRecipes(), tmp_path)
    words = [str(pair_bundle), "--int8", str(int8), "--budgets", "64,128", "--rows", "6", "--rounds", "2"]
    assert main([*words, "--json", str(tmp_path / "out.json")]) == 0
    seconds = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["seconds"]
    for mode, constant in CONSTANTS.items():
        assert set(seconds[mode]) == {"64", "128", str(constant)}
        assert all(len(values) == 2 for values in seconds[mode].values())
    printed = capsys.readouterr().out
    assert "| 1,024 |" in printed
    assert "measured peaks" in printed


def test_a_budget_is_compared_with_the_constant_round_by_round() -> None:
    table = format_table({"64": [2.0, 4.0], "256": [1.0, 2.0]}, 100, 256)
    assert table.splitlines()[2:] == [
        "| 64 | 38 (25..50) | 2.00 (2.00..2.00) |",
        "| 256 | 75 (50..100) | 1.00 (1.00..1.00) |",
    ]


def test_a_bundle_without_int8_is_one_line_and_exit_code_1(
    pair_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(pair_bundle)]) == 1
    error = capsys.readouterr().err
    assert "has no int8 variant: export it with --variants fp32,int8, or pass --int8 FILE" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("option", [["--budgets", "64,many"], ["--budgets", "0"], ["--rounds", "0"]])
def test_an_option_without_a_number_is_a_usage_error(option: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([str(tmp_path), *option])
    assert stopped.value.code == 2
