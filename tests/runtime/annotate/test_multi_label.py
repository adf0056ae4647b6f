"""Several labels per row, in every format."""

import csv
import json
from pathlib import Path

import pytest

from assay import Classifier, InputError
from assay.annotate import annotate_file
from tests.runtime.annotate import rows

TEXTS = ["rain is water", "a", "b c d", "what causes rain"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return rows.write(tmp_path / "in.jsonl", [{"text": text} for text in [*TEXTS, "nan"]])


def test_labels_are_a_list_in_json_lines_null_where_a_row_failed(
    source: Path, tagger: Classifier, tmp_path: Path
) -> None:
    annotate_file(tagger, source, tmp_path / "out.jsonl", threshold={"NOADDR_ON": 0.1}, on_error="null")
    *answered, failed = rows.read(tmp_path / "out.jsonl")
    expected = tagger.predict_batch(TEXTS, threshold={"NOADDR_ON": 0.1})
    assert [row["labels"] for row in answered] == [prediction.labels for prediction in expected]
    assert [row["scores"] for row in answered] == [prediction.scores for prediction in expected]
    assert (failed["labels"], failed["scores"]) == (None, None)


def test_labels_are_json_in_the_cell_of_a_table(tagger: Classifier, tmp_path: Path) -> None:
    table = tmp_path / "in.csv"
    table.write_text("text\n" + "\n".join([*TEXTS, "nan"]) + "\n")
    annotate_file(tagger, table, tmp_path / "out.csv", columns=["labels"], on_error="null")
    with (tmp_path / "out.csv").open(newline="") as file:
        *answered, failed = csv.DictReader(file)
    expected = [prediction.labels for prediction in tagger.predict_batch(TEXTS)]
    assert [json.loads(row["labels"]) for row in answered] == expected
    assert failed["labels"] == ""


def test_labels_are_a_list_of_strings_in_parquet(tagger: Classifier, tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"text": [*TEXTS, "nan"]}), tmp_path / "in.parquet")
    annotate_file(tagger, tmp_path / "in.parquet", tmp_path / "out.parquet", threshold=0.3, on_error="null")
    table = parquet.read_table(tmp_path / "out.parquet")
    assert table.schema.field("labels").type == arrow.list_(arrow.string())
    expected = [prediction.labels for prediction in tagger.predict_batch(TEXTS, threshold=0.3)]
    assert table["labels"].to_pylist() == [*expected, None]


def test_a_run_goes_on_only_with_the_same_threshold(tagger: Classifier, tmp_path: Path) -> None:
    source = rows.write(tmp_path / "in.jsonl", [{"text": text} for text in [*TEXTS * 300, 1]])
    with pytest.raises(InputError, match="rows are kept"):
        annotate_file(tagger, source, tmp_path / "out.jsonl", threshold=0.3)
    with pytest.raises(InputError, match="cannot go on because threshold was"):
        annotate_file(tagger, source, tmp_path / "out.jsonl", threshold=0.4, resume=True)


def test_a_threshold_is_checked_before_the_input_is_read(judge: Classifier, tagger: Classifier, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected none: it is for multi-label bundles"):
        annotate_file(judge, tmp_path / "absent.jsonl", tmp_path / "out.jsonl", threshold=0.5)
    with pytest.raises(InputError, match="threshold is for the label 'x'"):
        annotate_file(tagger, tmp_path / "absent.jsonl", tmp_path / "out.jsonl", threshold={"x": 0.5})
