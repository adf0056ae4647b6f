"""`python -m benchmarks compare`: what counts as a change, what is refused, and its exit codes.

The folders demo-a and demo-b are two real runs of one peer and its baseline on tests/checkpoints/pair-classifier.
"""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import main
from benchmarks.suite.compare.comparison import compare_runs, compare_times
from benchmarks.suite.report.analysis import analyse
from benchmarks.suite.samples import RESULTS, write_json
from tests.benchmarks.suite.report.results import results
from tests.conftest import ROOT

DEMO_A, DEMO_B = (Path(__file__).parent / "runs" / name for name in ("demo-a", "demo-b"))


def read_demo(folder: Path = DEMO_A) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    return found


def write_changed(folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Write demo-a with a change into a folder."""
    found = copy.deepcopy(read_demo())
    change(found)
    folder.mkdir()
    write_json(folder / RESULTS, found)
    return folder


def slow_down(results: dict[str, Any], peer: str, factor: float, cell: str | None = None) -> None:
    for record in results["samples"]:
        if record["kind"] == "turn" and record["peer"] == peer and cell in (None, record["cell"]):
            record["seconds"] = [value * factor for value in record["seconds"]]


def test_a_change_counts_only_beyond_the_spread_of_both_runs_and_the_threshold() -> None:
    steady = {0: 1.0, 1: 1.01, 2: 0.99}
    assert compare_times(steady, {n: 1.2 * t for n, t in steady.items()}, 0.05)[0] == "slower"
    assert compare_times(steady, {n: 0.8 * t for n, t in steady.items()}, 0.05)[0] == "faster"
    assert compare_times(steady, {n: 1.04 * t for n, t in steady.items()}, 0.05)[0] == "same"  # below the threshold
    spread = {0: 0.7, 1: 1.2, 2: 1.6}
    assert compare_times(steady, spread, 0.05)[0] == "same"  # a median 20 % higher, within the spread
    assert compare_times({0: 1.0}, {0: 9.0}, 0.05)[0] == "too few rounds"


def test_the_ratio_is_that_of_the_medians_with_what_both_spreads_allow() -> None:
    outcome, ratio = compare_times(dict.fromkeys(range(11), 1.0), {n: 2.0 + n / 10 for n in range(11)}, 0.05)
    assert outcome == "slower"
    assert ratio == pytest.approx((2.5, 2.1, 2.9))


def test_a_run_is_the_same_as_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(DEMO_A), str(DEMO_A)]) == 0
    shown = capsys.readouterr().out
    assert "| assay-fp32 | latency | 16 |" in shown
    assert shown.rstrip().endswith("0 slower, 0 faster, 6 same.")


def test_two_real_runs_of_the_same_code_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(DEMO_A), str(DEMO_B), "--threshold", "400"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("| assay", "| torch"))]
    assert len(lines) == 6


def test_one_cell_that_became_slower_fails_and_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slow = write_changed(tmp_path / "slow", lambda found: slow_down(found, "assay-fp32", 9.0, "64"))
    assert main(["compare", str(DEMO_A), str(slow), "--changes"]) == 1
    shown = capsys.readouterr().out
    (line,) = [line for line in shown.splitlines() if line.startswith("| assay")]
    assert line.startswith("| assay-fp32 | latency | 64 |")
    assert "| 9.00 (" in line
    assert line.endswith("| **slower** |")
    assert shown.rstrip().endswith("1 slower, 0 faster, 5 same.")
    assert main(["compare", str(slow), str(DEMO_A)]) == 0  # faster is no regression
    assert main(["compare", str(DEMO_A), str(slow), "--threshold", "900"]) == 0


def test_relative_to_a_peer_a_machine_that_slowed_down_as_a_whole_changes_nothing(tmp_path: Path) -> None:
    def slow_both(found: dict[str, Any]) -> None:
        for peer in found["plan"]["peers"]:
            slow_down(found, peer, 9.0)

    slow = write_changed(tmp_path / "slow", slow_both)
    assert main(["compare", str(DEMO_A), str(slow)]) == 1
    assert main(["compare", str(DEMO_A), str(slow), "--relative-to", "torch-fp32"]) == 0


def test_a_peer_that_fails_or_answers_wrongly_only_in_the_second_run_is_worse(tmp_path: Path) -> None:
    def crash(found: dict[str, Any]) -> None:
        found["samples"].append({"kind": "failure", "peer": "assay-fp32", "mode": "latency", "reason": "it crashed"})

    def answer_wrongly(found: dict[str, Any]) -> None:
        for record in found["samples"]:
            if record["kind"] == "logits" and record["peer"] == "assay-fp32":
                record["logits"] = [[value + 1 for value in row] for row in record["logits"]]

    for name, change, outcome in (("crash", crash, "failed"), ("wrong", answer_wrongly, "wrong")):
        folder = write_changed(tmp_path / name, change)
        assert main(["compare", str(DEMO_A), str(folder)]) == 1
        changes = compare_runs(analyse(read_demo()), analyse(read_demo(folder)), 0.05)
        assert [change.outcome for change in changes if change.is_regression] == [outcome]


def test_a_peer_that_only_one_run_has_is_listed_and_is_no_regression() -> None:
    fewer = results()
    fewer["plan"]["peers"].remove("optimum-int8")
    fewer["samples"] = [record for record in fewer["samples"] if record.get("peer") != "optimum-int8"]
    changes = compare_runs(analyse(results()), analyse(fewer), 0.05)
    assert [(c.peer, c.outcome, c.reason) for c in changes if c.outcome == "only in A"] == [
        ("optimum-int8", "only in A", "not asked for")
    ]
    assert not any(change.is_regression for change in changes)


@pytest.mark.parametrize(
    ("change", "said", "is_machine"),
    [
        (lambda plan: plan["machine"].update(processor="another"), "processor", True),
        (lambda plan: plan["machine"].update(usable_cores=64), "usable cores 2, B has 64", True),
        (lambda plan: plan.update(threads=9), "number of threads 1, B has 9", True),
        (lambda plan: plan.update(weights_sha256="0" * 64), "model", False),
        (lambda plan: plan.update(device="cuda"), "device 'cpu', B has 'cuda'", False),
    ],
)
def test_runs_that_are_not_comparable_are_refused_by_name(
    change: Callable[[dict[str, Any]], None],
    said: str,
    is_machine: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = write_changed(tmp_path / "other", lambda found: change(found["plan"]))
    assert main(["compare", str(DEMO_A), str(other)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "not comparable" in line
    assert said in line
    assert ("--across-machines" in line) is is_machine
    assert main(["compare", str(DEMO_A), str(other), "--across-machines"]) == (0 if is_machine else 2)


def test_noisy_rounds_are_left_out_and_counted_in_the_heading(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def disturb(found: dict[str, Any]) -> None:
        turns = [record for record in found["samples"] if record["kind"] == "turn"]
        found["samples"] += [{**turn, "round": 99, "seconds": [9.0] * 3} for turn in turns if turn["round"] == 0]
        noisy = {"threads": 1, "steal": 0.4, "others": 0.0, "before": None, "after": None}
        found["samples"] += [{"kind": "block", "mode": mode, "round": 99, **noisy} for mode in found["plan"]["modes"]]

    disturbed = write_changed(tmp_path / "disturbed", disturb)
    assert main(["compare", str(DEMO_A), str(disturbed)]) == 0
    shown = capsys.readouterr().out
    assert "2 noisy rounds, 2 of them left out" in shown
    assert shown.rstrip().endswith("0 slower, 0 faster, 6 same.")


def test_texts_of_other_lengths_are_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    longer = write_changed(tmp_path / "longer", lambda found: found["rows"]["lengths"].update({"64": 63}))
    assert main(["compare", str(DEMO_A), str(longer)]) == 0
    shown = capsys.readouterr().out
    assert "assay-fp32, latency, 64: only in A, B measured texts of other lengths" in shown
    assert "4 same" in shown


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        ("{", "cannot be read"),
        ("[]", "schema_version None"),
        ('{"schema_version": 2}', "schema_version 2, expected 1"),
        ('{"schema_version": 1}', "KeyError: 'plan'"),
    ],
)
def test_what_is_no_run_is_unusable_in_one_line(
    content: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / RESULTS).write_text(content, encoding="utf-8")
    assert main(["compare", str(DEMO_A), str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_options_that_make_no_sense_are_unusable(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(DEMO_A), str(DEMO_A), "--threshold", "-1"]) == 2
    assert main(["compare", str(DEMO_A), str(DEMO_A), "--relative-to", "optimum-int8"]) == 2
    assert "A has not measured optimum-int8, expected one of torch-fp32, assay-fp32" in capsys.readouterr().err


def test_the_checked_in_results_are_comparable() -> None:
    for path in sorted((ROOT / "docs" / "benchmarks").glob(f"*/{RESULTS}")):
        assert main(["compare", str(path.parent), str(path)]) == 0
