"""The probe of scaling: lengths with their cost, threads, files of rows, and what is left out or refused."""

import json
from pathlib import Path

import pytest

from benchmarks.probes import scaling


def test_lengths_threads_and_rows_are_measured_and_printed(
    pair_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scaling, "TURN_SECONDS", 0.001)
    file = tmp_path / "out.json"
    words = ["--lengths", "16,24,32,48", "--threads", "1,2", "--tokens", "24", "--rows", "1,20", "--rounds", "1"]
    assert scaling.main([str(pair_bundle), *words, "--json", str(file)]) == 0
    result = json.loads(file.read_text(encoding="utf-8"))
    assert set(result["lengths"]) == {"16", "24", "32", "48"}
    assert 1e7 < result["peak_bytes"] < 1e10
    assert set(result["threads"]) == {"1", "2"}
    assert result["rows"].keys() == {"1", "20"}
    assert result["rows"]["20"]["resident_bytes"] > 1e6
    printed = capsys.readouterr().out
    assert "Fitted cost of n tokens:" in printed
    assert "| threads, 24 tokens |" in printed
    assert "| 20 |" in printed


def test_threads_double_up_to_the_cores() -> None:
    assert scaling.double_up(1) == [1]
    assert scaling.double_up(6) == [1, 2, 4, 6]
    assert scaling.double_up(8) == [1, 2, 4, 8]


def test_the_gain_of_threads_is_over_the_fewest() -> None:
    table = scaling.format_threads({"1": [0.08], "2": [0.05], "4": [0.02]}, 128)
    assert table.splitlines()[3:] == [
        "| 1 | 80.00 | 1.00 | 100% |",
        "| 2 | 50.00 | 1.60 | 80% |",
        "| 4 | 20.00 | 4.00 | 100% |",
    ]


def test_the_times_of_lengths_stand_beside_the_fitted_cost() -> None:
    times = {str(n): [1e-3 + 1e-4 * n] for n in (16, 64, 256, 1024)}
    lines = scaling.format_lengths(times).splitlines()
    assert "| 1,024 | 103.40 | 9,903 | 103.40 |" in lines
    assert lines[-1] == "Fitted cost of n tokens: 1 ms + 100 us n + 0 ns n²; largest error 0%."
    few = scaling.format_lengths({"16": [0.001]})
    assert "| 16 | 1.00 | 16,000 | - |" in few
    assert "Fitted" not in few


def test_a_file_that_would_take_too_long_is_left_out_and_named() -> None:
    table = scaling.format_rows({"10": {"seconds": 2.0, "resident_bytes": 5e6}, "100000": {}}, 300)
    assert "| 10 | 2.00 | 5.0 | 5 |" in table
    assert "Left out, because they would take longer than 300 s: 100,000 rows." in table


def test_a_length_that_the_model_does_not_read_is_one_line(
    pair_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert scaling.main([str(pair_bundle), "--lengths", "16,9999"]) == 1
    assert capsys.readouterr().err.startswith("error: --lengths has 9999, but ")


@pytest.mark.parametrize("option", [["--rows", "0"], ["--threads", "two"], ["--rounds", "0"]])
def test_an_option_without_a_number_is_a_usage_error(option: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        scaling.main([str(tmp_path), *option])
    assert stopped.value.code == 2
