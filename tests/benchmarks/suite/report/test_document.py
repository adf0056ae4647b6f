"""The report says what the samples say: ratios, ranks, failures and absences."""

import re
from pathlib import Path

import pytest

from benchmarks.suite.report import document
from benchmarks.suite.report.analysis import analyse
from benchmarks.suite.samples import RESULTS, write_json
from tests.benchmarks.suite.report.results import results


@pytest.fixture
def text() -> str:
    return document.compose(analyse(results()), [])


def section(text: str, title: str) -> str:
    (found,) = [part for part in text.split("\n## ") if part.startswith(title)]
    return found


def test_ratios_are_those_of_the_rounds_and_drift_cancels(text: str) -> None:
    latency = section(text, "Latency")
    assert "| assay-int8 | 0.50 (0.50..0.50) | 0.50 (0.50..0.50) |" in latency
    assert "| assay-int8 | 1 | 100.0 | 100.0 |" in latency  # the median round's ms


def test_peers_are_listed_by_rank_and_those_without_one_come_last(text: str) -> None:
    lines = [
        line for line in section(text, "Latency").splitlines() if re.match(r"\| (torch|assay|optimum|openvino)", line)
    ]
    names = [line.split(" | ")[0].removeprefix("| ") for line in lines[:4]]
    assert names[:2] == ["assay-int8", "torch-fp32"]
    assert set(names[2:]) == {"optimum-int8", "openvino-int8"}


def test_a_peer_whose_parity_fails_keeps_its_times_and_gets_no_rank(text: str) -> None:
    assert "| optimum-int8 | parity failed | 20.0 | 20.0 |" in section(text, "Latency")
    assert re.search(r"\| optimum-int8 \| failed \| 6\.0e\+00 .*\| 100\.0% \|", section(text, "Parity"))
    assert "optimum-int8" not in analyse(results()).rank("latency")


def test_a_peer_that_crashed_says_why_and_gets_no_rank(text: str) -> None:
    assert "| openvino-int8 | failed |" in section(text, "Latency")
    assert "openvino-int8, latency: failed, its process was killed by SIGKILL" in section(text, "Absent and failed")


def test_an_absent_peer_is_listed_with_the_extra_that_brings_it(text: str) -> None:
    assert "sentence-transformers: absent, sentence-transformers not installed: pip install 'assay[bench]'" in text


def test_the_limit_is_the_best_peak_of_the_run_at_the_peers_own_precision(text: str) -> None:
    # 16e9 operations in 0.1 s (median round) at a peak of 4e12: 4 %.
    assert "| assay-int8 | int8 | 4% | 16% |" in section(text, "The limit")
    # 0.2 s at 2e12
    assert "| torch-fp32 | fp32 | 4% | 16% |" in section(text, "The limit")


def test_throughput_counts_texts_and_tokens(text: str) -> None:
    assert "| assay-int8 | 1 | 30.0 | 600 | 0.50 (0.50..0.50) |" in section(text, "Throughput")


def test_stand_ins_are_called_so(text: str) -> None:
    assert "stand-in" not in text
    standin = results()
    standin["plan"]["random_weights"] = True
    assert "stand-in with random weights" in document.compose(analyse(standin), [])


def test_the_page_holds_its_pictures_and_asks_nothing_of_a_network(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib draws the plots: extra bench")
    write_json(tmp_path / RESULTS, results())
    document.write(tmp_path)
    page = (tmp_path / document.HTML).read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 3
    assert "http" not in re.sub(r"base64,[^\"]*", "", page)
    assert "<table>" in page
    assert (tmp_path / "plots" / "latency.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_results_give_the_same_report(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        write_json(tmp_path / name / RESULTS, results())
        document.write(tmp_path / name)
    assert (tmp_path / "a" / document.HTML).read_bytes() == (tmp_path / "b" / document.HTML).read_bytes()
