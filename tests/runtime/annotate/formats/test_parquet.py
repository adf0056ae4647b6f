"""Parquet through annotate_file."""

import datetime
import decimal
import json
from pathlib import Path
from typing import Any

import pytest

from assay import Classifier, InputError, Scorer
from assay.annotate import annotate_file
from tests.runtime.annotate import rows

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def test_columns_are_kept_with_their_types_and_new_ones_added(judge: Classifier, tmp_path: Path) -> None:
    table = pa.table(
        {
            "n": pa.array([1, None], pa.int8()),
            "chat": pa.array([[{"content": "a"}], [{"content": "b"}]]),
            "when": pa.array([datetime.datetime(2026, 1, 1), None], pa.timestamp("us", "UTC")),
            "kind": pa.array(["x", "y"]).dictionary_encode(),
            "text_pair": pa.array(["b", "c"], pa.large_string()),
        }
    ).replace_schema_metadata({"pandas": "{}"})
    pq.write_table(table, tmp_path / "in.parquet")
    annotate_file(
        judge,
        tmp_path / "in.parquet",
        tmp_path / "out.parquet",
        fields=["chat.0.content", "text_pair"],
        columns=["label", "score", "scores"],
        on_error="null",
    )
    out = pq.read_table(tmp_path / "out.parquet")
    assert out.select(table.column_names).equals(pq.read_table(tmp_path / "in.parquet"))
    assert out.schema.metadata[b"pandas"] == b"{}"
    assert out.schema.field("score").type == pa.float32()
    assert out.column_names[5:] == ["label", "score", "scores", "error"]
    predictions = judge.predict_batch([("a", "b"), ("b", "c")])
    assert out["scores"].to_pylist() == [prediction.scores for prediction in predictions]
    assert out["label"].to_pylist() == [prediction.label for prediction in predictions]
    assert out["error"].null_count == 2


def test_a_row_without_an_answer_names_its_number_or_keeps_its_place(judge: Classifier, tmp_path: Path) -> None:
    texts = pa.array(["a", None, "nan", "é"])
    broken = pa.Array.from_buffers(  # "é" cut in two
        pa.string(),
        4,
        [
            None,
            pa.py_buffer(bytes([0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0])),
            pa.py_buffer(b"b\xc3"),
        ],
    )
    pq.write_table(pa.table({"text": texts, "text_pair": broken}), tmp_path / "in.parquet")
    with pytest.raises(InputError, match=r'in.parquet, row 1, field "text": found None, expected a text'):
        annotate_file(judge, tmp_path / "in.parquet", tmp_path / "out.parquet")
    summary = annotate_file(judge, tmp_path / "in.parquet", tmp_path / "out.parquet", on_error="null")
    assert (summary.rows, summary.failed) == (4, 3)
    errors = pq.read_table(tmp_path / "out.parquet", columns=["error"])["error"].to_pylist()
    assert errors[0] is None
    assert 'row 1, field "text": found None' in errors[1]
    assert "row 2" in errors[2]
    assert "the text has the logits" in errors[2]
    assert 'row 3, field "text_pair": is not UTF-8' in errors[3]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": ["a"]}, 'in.parquet, field "text": is missing, found the columns x'),
        ({"text": ["a"], "text_pair": ["b"], "score": [1]}, 'field "score": is there already'),
    ],
)
def test_a_column_that_is_missing_or_taken_is_refused(
    judge: Classifier, tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    pq.write_table(pa.table(columns), tmp_path / "in.parquet")
    with pytest.raises(InputError) as caught:
        annotate_file(judge, tmp_path / "in.parquet", tmp_path / "out.parquet", on_error="null")
    assert message in str(caught.value)


def test_two_columns_of_one_name_are_refused(judge: Classifier, tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["a"])] * 2, names=["text", "text"])
    pq.write_table(table, tmp_path / "in.parquet")
    with pytest.raises(InputError, match="has 2 columns named 'text'"):
        annotate_file(judge, tmp_path / "in.parquet", tmp_path / "out.parquet")


@pytest.mark.parametrize("data", [b"", b"text\na\n", b"PAR1" * 9])
def test_a_file_that_is_not_parquet_is_refused(judge: Classifier, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "in.parquet").write_bytes(data)
    with pytest.raises(InputError, match=r"in\.parquet: cannot be read as Parquet"):
        annotate_file(judge, tmp_path / "in.parquet", tmp_path / "out.parquet")


def test_a_damaged_page_is_refused(judge: Classifier, tmp_path: Path) -> None:
    path = rows.write(tmp_path / "in.parquet", rows.pairs(500))
    data = bytearray(path.read_bytes())
    for position in range(40, len(data) // 2):
        data[position] ^= 0xA5
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"in.parquet, after row \d+: cannot be read"):
        annotate_file(judge, path, tmp_path / "out.parquet", on_error="null")


def test_a_file_without_rows_keeps_its_schema(judge: Classifier, tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"text": pa.array([], pa.string()), "text_pair": pa.array([], pa.string())}), tmp_path / "in.parquet"
    )
    annotate_file(judge, tmp_path / "in.parquet", tmp_path / "out.parquet")
    assert pq.read_schema(tmp_path / "out.parquet").names == ["text", "text_pair", "label", "score"]


def test_row_groups_hold_many_windows_within_a_bound_of_bytes(
    judge: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assay.annotate.windows.ROWS", 10)
    path = rows.write(tmp_path / "in.parquet", rows.pairs(100))
    annotate_file(judge, path, tmp_path / "one.parquet")
    assert pq.ParquetFile(tmp_path / "one.parquet").metadata.num_row_groups == 1
    monkeypatch.setattr("assay.annotate.formats.parquet.BYTES_PER_GROUP", 1_500)
    annotate_file(judge, path, tmp_path / "some.parquet")
    assert 3 < pq.ParquetFile(tmp_path / "some.parquet").metadata.num_row_groups <= 10
    assert pq.read_table(tmp_path / "one.parquet").equals(pq.read_table(tmp_path / "some.parquet"))


def test_parquet_becomes_json_lines_if_json_can_express_its_values(scorer: Scorer, tmp_path: Path) -> None:
    values = {"text": "a", "day": datetime.date(2026, 1, 2), "sum": decimal.Decimal("1.50"), "list": [1, None]}
    pq.write_table(pa.Table.from_pylist([values]), tmp_path / "in.parquet")
    annotate_file(scorer, tmp_path / "in.parquet", tmp_path / "out.jsonl")
    assert json.loads((tmp_path / "out.jsonl").read_text()) == {
        "text": "a",
        "day": "2026-01-02",
        "sum": "1.50",
        "list": [1, None],
        "score": scorer.score("a"),
    }
    for value in (b"bytes", float("nan")):
        pq.write_table(pa.Table.from_pylist([{"text": "a", "x": value}]), tmp_path / "in.parquet")
        with pytest.raises(
            InputError, match=r"in.parquet, row 0: cannot be written as JSON .*choose an OUTPUT of .parquet"
        ):
            annotate_file(scorer, tmp_path / "in.parquet", tmp_path / "other.jsonl")


def test_pandas_polars_and_datasets_read_the_result(judge: Classifier, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    pandas = pytest.importorskip("pandas")
    polars = pytest.importorskip("polars")
    datasets.Dataset.from_list(rows.pairs(20)).to_parquet(tmp_path / "in.parquet")
    annotate_file(judge, tmp_path / "in.parquet", tmp_path / "out.parquet", columns=["label", "scores"])
    labels = pq.read_table(tmp_path / "out.parquet")["label"].to_pylist()
    assert pandas.read_parquet(tmp_path / "out.parquet")["label"].tolist() == labels
    assert polars.read_parquet(tmp_path / "out.parquet")["label"].to_list() == labels
    read = datasets.Dataset.from_parquet(str(tmp_path / "out.parquet"), cache_dir=str(tmp_path / "cache"))
    assert list(read["label"]) == labels


def test_a_value_that_python_cannot_represent_fails_only_its_row_and_is_not_written_as_json(
    scorer: Scorer, tmp_path: Path
) -> None:
    twice = pa.StructArray.from_arrays([pa.array(["a"]), pa.array(["b"])], ["text", "text"])
    late = pa.array([10**8], pa.date32())
    for column, field in ((twice, "x.text"), (late, "x")):
        pq.write_table(pa.table({"x": column, "text": ["a"]}), tmp_path / "in.parquet")
        annotate_file(
            scorer, tmp_path / "in.parquet", tmp_path / "out.parquet", fields=[field], on_error="null", force=True
        )
        (error,) = pq.read_table(tmp_path / "out.parquet")["error"].to_pylist()
        assert 'in.parquet, row 0, field "x": cannot be read' in error
        annotate_file(scorer, tmp_path / "in.parquet", tmp_path / "kept.parquet", force=True)
        assert pq.read_table(tmp_path / "kept.parquet")["x"].chunk(0).equals(column)
        with pytest.raises(InputError, match=r"row 0: cannot be written as JSON .*choose an OUTPUT of .parquet"):
            annotate_file(scorer, tmp_path / "in.parquet", tmp_path / "out.jsonl")


@pytest.mark.parametrize("error", [pa.ArrowNotImplementedError, pa.ArrowKeyError, MemoryError, OverflowError])
def test_whatever_pyarrow_raises_over_a_damaged_file_is_an_input_error(
    judge: Classifier, tmp_path: Path, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fuzz tests found "Integers with less than 8 bits not implemented"."""
    source = rows.write(tmp_path / "in.parquet", rows.pairs(3))

    def fail(*_: object, **__: object) -> None:
        raise error("damaged")

    monkeypatch.setattr(pq, "ParquetFile", fail)
    with pytest.raises(InputError, match=r"in\.parquet: cannot be read as Parquet \(.*damaged"):
        annotate_file(judge, source, tmp_path / "out.parquet")
