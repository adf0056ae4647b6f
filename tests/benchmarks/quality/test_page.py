"""The tables of docs/measurements/quality.md and README.md are those that the checked-in results give."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.quality import page
from benchmarks.suite.report.tables import replace_between
from benchmarks.suite.samples import write_json


def make_results() -> dict[str, Any]:
    """A classifier in PyTorch, in int8 that flips three labels, and a peer that failed."""
    delta = {"labels_changed": 3, "mean_delta_probability": 0.01, "max_delta_probability": 0.25}
    return {
        "checkpoint": "tests/checkpoints/none",
        "baseline": "torch fp32",
        "rows": {"good": 1000},
        "versions": {"torch": "2.13.0"},
        "results": {
            "torch fp32": {"metrics": {"accuracy": 0.75, "macro_f1": 0.7}},
            "int8": {"metrics": {"accuracy": 0.748, "macro_f1": 0.699}, "against_baseline": delta},
            "openvino-int8": {"failure": "it crashed"},
        },
    }


def test_the_page_says_what_the_results_say() -> None:
    for path, compose in ((page.PAGE, page.compose_tables), (page.README, page.compose_summary)):
        text = path.read_text(encoding="utf-8")
        written = replace_between(text, page.BEGIN, page.END, compose(page.FOLDER), path.name)
        assert written == text, "python -m benchmarks quality-page"


def test_a_table_has_accuracy_f1_and_flips_and_says_why_a_peer_has_none(tmp_path: Path) -> None:
    write_json(tmp_path / "none.json", make_results())
    tables = page.compose_tables(tmp_path)
    assert "| tests/checkpoints/none, 1,000 rows | accuracy | macro F1 | labels other than torch fp32's |" in tables
    assert "| torch fp32 | 75.0% | 70.0% | - | - | - |" in tables
    assert "| int8 | 74.8% | 69.9% | 3 | 1.0e-02 | 2.5e-01 |" in tables
    assert "openvino-int8: it crashed" in tables
    assert "Versions: torch 2.13.0." in tables


def test_the_summary_has_the_changed_labels_of_every_int8_and_a_dash_for_a_failure(tmp_path: Path) -> None:
    write_json(tmp_path / "none.json", make_results())
    lines = page.compose_summary(tmp_path).splitlines()
    assert lines[0] == "| labels that differ from PyTorch's in float32 | int8 | openvino-int8 |"
    assert lines[2] == "| none, 1,000 rows | 3 | - |"


def test_what_is_no_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="has no results"):
        page.compose_tables(tmp_path)
    write_json(tmp_path / "wrong.json", {"baseline": "torch fp32"})
    with pytest.raises(BenchmarkError, match="is not what python -m benchmarks quality writes"):
        page.compose_tables(tmp_path)


@pytest.mark.parametrize("text", ["no markers", page.BEGIN, f"{page.END} {page.BEGIN}", page.BEGIN * 2 + page.END])
def test_a_page_without_the_markers_is_refused(text: str) -> None:
    with pytest.raises(BenchmarkError, match="lacks the lines"):
        replace_between(text, page.BEGIN, page.END, "table", "quality.md")
