"""A run's folder: new, resumed, or refused."""

from pathlib import Path

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.suite.samples import PLAN, Samples, begin, read_json

WANTED = {"model": "m", "peers": ["a", "b"], "threads": 2}


def test_a_new_folder_gets_the_plan_and_an_empty_log(tmp_path: Path) -> None:
    samples = begin(tmp_path / "run", WANTED, resume=False)
    assert samples.records == []
    assert read_json(tmp_path / "run" / PLAN) == WANTED


def test_a_folder_with_a_run_is_neither_overwritten_nor_mixed(tmp_path: Path) -> None:
    begin(tmp_path / "run", WANTED, resume=False).add("turn", peer="a")
    with pytest.raises(BenchmarkError, match="--resume"):
        begin(tmp_path / "run", WANTED, resume=False)
    with pytest.raises(BenchmarkError, match="its threads was 2 and is now 1"):
        begin(tmp_path / "run", {**WANTED, "threads": 1}, resume=True)
    assert len(begin(tmp_path / "run", WANTED, resume=True).records) == 1


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious", encoding="utf-8")
    with pytest.raises(BenchmarkError, match="not a benchmark run"):
        begin(tmp_path, WANTED, resume=True)
    assert (tmp_path / "thesis.txt").read_text(encoding="utf-8") == "precious"


def test_a_torn_last_line_is_cut_off_and_the_next_record_follows(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    first = Samples(path)
    first.add("turn", peer="a")
    first.close()
    with path.open("ab") as file:
        file.write(b'{"kind": "tu')
    second = Samples(path)
    second.add("turn", peer="b")
    second.close()
    assert [record["peer"] for record in Samples(path).records] == ["a", "b"]


def test_records_are_found_by_what_they_hold(tmp_path: Path) -> None:
    samples = Samples(tmp_path / "samples.jsonl")
    samples.add("turn", peer="a", round=0)
    samples.add("turn", peer="b", round=0)
    samples.add("failure", peer="a")
    assert [record["peer"] for record in samples.of("turn", round=0)] == ["a", "b"]
    assert list(samples.of("turn", peer="c")) == []


def test_a_missing_result_says_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="name the folder of a benchmark run"):
        read_json(tmp_path / "results.json")
