"""The report says what the samples say: ratios, ranks, failures and absences."""

import re
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.suite.report import document
from benchmarks.suite.report.analysis import analyse
from benchmarks.suite.samples import RESULTS, write_json
from tests.benchmarks.suite.report.results import results, results_of_today
from tests.conftest import ROOT


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


@pytest.fixture
def today() -> str:
    return document.compose(analyse(results_of_today()), [])


def test_each_row_shows_its_share_of_what_the_machine_allows(today: str) -> None:
    # At least 16e9 operations at 4e12 or 1e9 bytes at 1e10, that is 0.1 s, in 0.1 s; for float32 4e9 bytes in 0.2 s.
    assert "| assay-int8 | 1 | 100.0 (100% m) | 100.0 (100% m) |" in section(today, "Latency")
    assert "| torch-fp32 | 2 | 200.0 (200% m) | 200.0 (200% m) |" in section(today, "Latency")
    limit = section(today, "The limit")
    assert "int8 4.00, fp32 1.00; reading memory 10.0 GB/s" in limit
    assert "| int8: arithmetic / memory, ms | 4.00 / 100.00 | 16.00 / 100.00 |" in limit
    assert "| MB of fp32 weights | 4000.0 | 4000.0 |" in limit
    assert "bf16 weights" not in limit  # no such instruction
    assert "| ONNX Runtime's products | int8 | 50% | 40% | - |" in limit
    assert "| assay-int8 | int8 | 4% | 16% |" in limit  # of the products, as before


def test_noisy_rounds_are_marked_and_counted_only_if_too_few_others_remain(today: str) -> None:
    assert "| latency | 1 | steal time 20% | **counted** |" in section(today, "Noise")
    more = results_of_today()
    turns = [record for record in more["samples"] if record["kind"] == "turn" and record["round"] == 2]
    more["samples"] += [{**turn, "round": 3} for turn in turns]
    assert "| latency | 1 | steal time 20% | left out |" in section(document.compose(analyse(more), []), "Noise")
    assert analyse(more).count_rounds("latency") == 3
    assert analyse(more).count_rounds("throughput") == 4
    assert set(analyse(more).peers["assay-int8"].cells["latency"]["16"]) == {1, 2, 3}


def test_a_quiet_run_says_so() -> None:
    quiet = results_of_today()
    for record in quiet["samples"]:
        if record["kind"] == "block":
            record["steal"] = 0.0
    assert "No round was noisy." in section(document.compose(analyse(quiet), []), "Noise")


def test_memory_and_energy_have_columns_where_they_were_measured(today: str) -> None:
    assert "| peer | start to first answer, s | resident, MB | peak, MB |" in today
    assert "| assay-int8 | 2.0 (2.0..2.0) | 50 | 123 |" in today
    assert "| assay-int8 | 1 | 1 | 1 |" in section(today, "Energy")


def test_older_results_have_no_columns_for_what_they_did_not_measure(text: str) -> None:
    for words in ("peak, MB", "## Energy", "## Noise", "share of the limit", "reading memory", "of what the machine"):
        assert words not in text


def test_the_cost_of_an_answer_is_fitted_to_the_lengths_if_there_are_enough(tmp_path: Path, text: str) -> None:
    assert "The cost of an answer" not in text
    longer = results()
    longer["rows"]["lengths"] = {"16": 16, "64": 64, "128": 128, "256": 256}
    for record in [record for record in longer["samples"] if record["kind"] == "turn" and record["cell"] == "16"]:
        base = record["seconds"][0]
        longer["samples"] += [{**record, "cell": cell, "seconds": [base]} for cell in ("128", "256")]
    composed = document.compose(analyse(longer), ["cost.png", "latency.png"])
    # Its times do not depend on the length, and the median of the rounds is twice the first.
    assert "| assay-int8 | 100.00 | 0.0 | 0.0 | 0% |" in section(composed, "The cost of an answer")
    assert composed.index("plots/cost.png") < composed.index("## Latency") < composed.index("plots/latency.png")
    pytest.importorskip("matplotlib", reason="matplotlib draws the plots: extra bench")
    write_json(tmp_path / RESULTS, longer)
    document.write(tmp_path)
    assert (tmp_path / "plots" / "cost.png").read_bytes().startswith(b"\x89PNG")


def test_the_report_of_checked_in_results_can_be_written_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib draws the plots: extra bench")
    for path in sorted((ROOT / "docs" / "benchmarks").glob(f"*/{RESULTS}")):
        folder = tmp_path / path.parent.name
        folder.mkdir()
        (folder / RESULTS).write_bytes(path.read_bytes())
        assert main(["report", str(folder)]) == 0
        written = (folder / document.MARKDOWN).read_text(encoding="utf-8")
        assert written == (path.parent / document.MARKDOWN).read_text(encoding="utf-8"), "python -m benchmarks report"
    assert capsys.readouterr().err == ""
