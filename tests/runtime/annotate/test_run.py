"""annotate_file: its formats, options and errors."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assay import Classifier, InputError, Scorer
from assay.annotate import annotate_file
from tests.runtime.annotate import rows
from tests.runtime.annotate.rows import require

WRONG_TYPE = b'{"schema": 1, "identity": 5, "replace": false, "rows": 7}'
pytestmark = pytest.mark.usefixtures("small_windows")

KINDS = ["jsonl", "ndjson", "csv", "tsv", "jsonl.gz", "csv.gz", "jsonl.zst", "tsv.zst", "parquet"]


@pytest.mark.parametrize("name", KINDS)
def test_every_format_keeps_its_rows_and_has_the_answers_of_predict_batch(
    judge: Classifier, tmp_path: Path, name: str
) -> None:
    require(name)
    table = rows.pairs(50)
    source = rows.write(tmp_path / f"in.{name}".replace("ndjson", "jsonl"), table)
    target = tmp_path / f"out.{name}".replace("ndjson", "jsonl")
    summary = annotate_file(judge, source, target, columns=["label", "score"])
    out = rows.read(target)
    predictions = judge.predict_batch([(row["text"], row["text_pair"]) for row in table])
    assert [row["label"] for row in out] == [prediction.label for prediction in predictions]
    assert [float(row["score"]) for row in out] == pytest.approx([prediction.score for prediction in predictions])
    kept = [{key: type(row[key])(value[key]) for key in row} for row, value in zip(table, out, strict=True)]
    assert kept == table
    assert (summary.rows, summary.failed) == (50, 0)
    assert summary.tokens > 100
    assert rows.hidden(tmp_path) == []


def test_a_scale_rescales_the_scores(scorer: Scorer, tmp_path: Path) -> None:
    source = rows.write(tmp_path / "in.jsonl", rows.pairs(30))
    annotate_file(scorer, source, tmp_path / "out.jsonl", scale=(0, 100), columns=["score", "evol_complexity"])
    out = rows.read(tmp_path / "out.jsonl")
    texts = [row["text"] for row in rows.read(source)]
    assert [row["score"] for row in out] == pytest.approx(scorer.score_batch(texts, scale=(0, 100)).tolist())
    assert [row["evol_complexity"] for row in out] == scorer.evol_complexity_batch(texts).tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on_error": "skip"}, "on_error is 'skip', expected 'raise' or 'null'"),
        ({"truncate": "no"}, "truncate is a str of 2 characters, expected True or False"),
        ({"fields": "text"}, "fields is a str of 4 characters, expected the two fields of a pair"),
        ({"fields": ["text"]}, "fields is a list of 1, expected the two fields of a pair"),
        ({"fields": 5}, "fields is the int 5, expected the two fields of a pair"),
        ({"columns": "label"}, "columns is a str of 5 characters, expected a list of names"),
        ({"columns": 5}, "columns is the int 5, expected a list of names"),
        ({"scale": (0, 1)}, "scale is for a regression bundle"),
        ({"columns": ["evol_complexity"]}, "columns: found 'evol_complexity'"),
        ({"shard": "3/2"}, "shard is '3/2'"),
        ({"shard": 3}, "shard is 3, expected I/N"),
    ],
)
def test_an_option_that_does_not_fit_is_refused_before_anything_is_written(
    judge: Classifier, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    source = rows.write(tmp_path / "in.jsonl", rows.pairs(3))
    with pytest.raises(InputError, match=message):
        annotate_file(judge, source, tmp_path / "out.jsonl", **options)
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


@pytest.mark.parametrize("scale", [(1, 0), (0,), 5, "01", (0, float("nan"))])
def test_a_wrong_scale_is_refused(scorer: Scorer, tmp_path: Path, scale: Any) -> None:
    source = rows.write(tmp_path / "in.jsonl", rows.pairs(3))
    with pytest.raises(InputError, match="scale is"):
        annotate_file(scorer, source, tmp_path / "out.jsonl", scale=scale)


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("none.jsonl", "out.jsonl", "none.jsonl: cannot be read"),
        ("in.jsonl", "in.jsonl", "is the input, expected another file"),
        ("in.jsonl", "link.jsonl", "is the input, expected another file"),
        ("in.jsonl", "there.jsonl", "there.jsonl: exists already; name another file, or replace it with --force"),
        ("in.jsonl", "folder.jsonl", "folder.jsonl: is not a regular file"),
        ("in.jsonl", "nowhere.jsonl", "nowhere.jsonl: is not a regular file"),
        ("in.jsonl", "o\0.jsonl", "found a NUL character"),
        ("in.jsonl", "none/out.jsonl", "out.jsonl: cannot be written"),
        ("folder.jsonl", "out.jsonl", "folder.jsonl: cannot be read"),
    ],
)
def test_files_that_cannot_be_read_or_must_not_be_written_are_refused(
    judge: Classifier, tmp_path: Path, source: str, target: str, message: str
) -> None:
    rows.write(tmp_path / "in.jsonl", rows.pairs(3))
    (tmp_path / "link.jsonl").symlink_to("in.jsonl")
    (tmp_path / "nowhere.jsonl").symlink_to("is/nothing.jsonl")
    (tmp_path / "there.jsonl").write_text("mine")
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(InputError, match=message):
        annotate_file(judge, tmp_path / source, tmp_path / target)
    assert (tmp_path / "there.jsonl").read_text() == "mine"
    assert rows.hidden(tmp_path) == []


def test_windows_also_end_after_many_bytes(judge: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.annotate.columns import Columns, choose_columns
    from assay.annotate.formats.encoders import Selection, connect
    from assay.annotate.formats.names import check_conversion
    from assay.annotate.shards import WHOLE

    monkeypatch.setattr("assay.annotate.windows.BYTES", 1_000)
    source = rows.write(tmp_path / "in.jsonl", [{"text": "a", "text_pair": "b", "x": "y" * 400} for _ in range(10)])
    columns = Columns(choose_columns(judge.manifest, None), None, errors=False)
    formats = check_conversion(str(source), "-")
    opened, _ = connect(str(source), formats, Selection(["text", "text_pair"], "pair", columns, WHOLE))
    windows: Iterator[Any] = opened.windows(None)
    assert [len(window.rows) for window in windows] == [3, 3, 3, 1]
    opened.close()


def test_a_wrong_path_or_model_is_refused(judge: Classifier, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="source is the int 5, expected the path of a file"):
        annotate_file(judge, 5, tmp_path / "out.jsonl")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="target is a bytes of 9, expected the path of a file"):
        annotate_file(judge, "in.jsonl", b"out.jsonl")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"model is a str of 7 characters, expected what assay.load returns"):
        annotate_file("bundles", "in.jsonl", "out.jsonl")  # type: ignore[arg-type]
