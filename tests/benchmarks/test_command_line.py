"""What the probes' command lines share: numbers as options, the result as JSON, and one line for an error."""

import argparse
import json
from pathlib import Path

import pytest

from benchmarks.command_line import parse_count, parse_counts, run_measurement
from benchmarks.errors import BenchmarkError


def test_the_result_is_written_where_a_file_was_named(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    assert run_measurement(lambda options: {"rows": options.rows}, argparse.Namespace(rows=3, json=path)) == 0
    assert json.loads(path.read_text(encoding="utf-8")) == {"rows": 3}
    assert run_measurement(lambda _: None, argparse.Namespace(json=None)) == 0


def test_an_error_is_one_line_and_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_: argparse.Namespace) -> None:
        raise BenchmarkError("it is missing")

    assert run_measurement(fail, argparse.Namespace(json=None)) == 1
    assert capsys.readouterr().err == "error: it is missing\n"
    assert run_measurement(lambda _: 1, argparse.Namespace(json=tmp_path / "no" / "folder.json")) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_a_probe_without_json_ends_the_same_way() -> None:
    assert run_measurement(lambda _: None, argparse.Namespace()) == 0


def test_counts_are_whole_numbers_of_at_least_1() -> None:
    assert parse_count("3") == 3
    assert parse_counts("16, 64,3") == [16, 64, 3]
    for word in ("0", "-1", "many", "1.5", ""):
        with pytest.raises(argparse.ArgumentTypeError, match=f"found '{word}', expected a whole number of at least 1"):
            parse_count(word)
    for words in ("16,many", "0", "", "16,"):
        with pytest.raises(argparse.ArgumentTypeError, match=f"found '{words}', expected .* such as 16,64"):
            parse_counts(words)
