"""README's performance table is the one that the checked-in results give."""

import json
from pathlib import Path

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.suite.readme import command as readme
from benchmarks.suite.report.tables import replace_between
from benchmarks.suite.samples import RESULTS, write_json
from tests.benchmarks.suite.report.results import results
from tests.conftest import ROOT


def test_readme_says_what_docs_benchmarks_says() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert (
        replace_between(
            text, readme.BEGIN, readme.END, readme.compose_tables(ROOT / "docs" / "benchmarks"), "README.md"
        )
        == text
    ), "python -m benchmarks readme"


def test_the_checked_in_results_name_no_machine() -> None:
    for path in sorted((ROOT / "docs" / "benchmarks").glob(f"*/{RESULTS}")):
        found = json.loads(path.read_text(encoding="utf-8"))
        assert found["plan"]["machine"].keys() == {"processor", "usable_cores", "memory_gb", "system", "python"}


def test_the_table_has_the_peers_by_rank_and_none_that_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    write_json(tmp_path / "demo" / RESULTS, results())
    table = readme.compose_tables(tmp_path)
    assert table.splitlines()[2:] == [
        "| assay-int8 | 1 | 100 | 100 | 30.0 | 2.0 | 50 |",
        "| torch-fp32 | 2 | 200 | 200 | 15.0 | 2.0 | 50 |",
    ]


def test_another_result_makes_another_table(tmp_path: Path) -> None:
    found = results()
    for record in found["samples"]:
        if record["kind"] == "turn" and record["peer"] == "assay-int8":
            record["seconds"] = [value * 3 for value in record["seconds"]]
    for name, content in (("a", results()), ("b", found)):
        (tmp_path / name / "demo").mkdir(parents=True)
        write_json(tmp_path / name / "demo" / RESULTS, content)
    assert readme.compose_tables(tmp_path / "a") != readme.compose_tables(tmp_path / "b")


@pytest.mark.parametrize(
    "text", ["no markers", readme.BEGIN, f"{readme.END} {readme.BEGIN}", readme.BEGIN * 2 + readme.END]
)
def test_a_readme_without_the_markers_is_refused(text: str) -> None:
    with pytest.raises(BenchmarkError, match="lacks the lines"):
        replace_between(text, readme.BEGIN, readme.END, "table", "README.md")


def test_no_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="python -m benchmarks run"):
        readme.compose_tables(tmp_path)


def test_the_picture_is_small_text_and_the_same_for_the_same_results(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib draws the picture: extra bench")
    from benchmarks.suite.readme.picture import PICTURE, draw_picture

    pictures = []
    for name in "ab":
        for model in ("osmosis", "maxwell"):
            (tmp_path / name / model).mkdir(parents=True)
            write_json(tmp_path / name / model / RESULTS, results())
        pictures.append(draw_picture(tmp_path / name).read_bytes())
    assert pictures[0] == pictures[1]
    assert len(pictures[0]) < 100_000
    text = pictures[0].decode("utf-8")
    assert "assay int8" in text
    assert "2 threads; a processor" in text
    assert "optimum int8 *" in text  # its parity failed
    assert (ROOT / "docs" / "benchmarks" / PICTURE).is_file()


def test_a_picture_without_a_run_is_refused(tmp_path: Path) -> None:
    from benchmarks.suite.readme.picture import draw_picture

    with pytest.raises(BenchmarkError, match="run python -m benchmarks run"):
        draw_picture(tmp_path)
