"""annotate_file: options, resumption and shards."""

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import assay
from assay import AssayError, Classifier, InputError, Scorer
from assay.annotate import annotate_file
from assay.annotate.job import Job
from assay.annotate.run import StoppedError, annotate
from tests.runtime.annotate import rows

WRONG_TYPE = b'{"schema": 1, "identity": 5, "replace": false, "rows": 7}'
KINDS = ["jsonl", "ndjson", "csv", "tsv", "jsonl.gz", "csv.gz", "jsonl.zst", "tsv.zst", "parquet"]


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.annotate.windows.ROWS", 20)
    monkeypatch.setattr("assay.annotate.output.SECONDS_BETWEEN_COMMITS", 0.0)


def require(name: str) -> None:
    if "parquet" in name:
        pytest.importorskip("pyarrow")
    if "zst" in name:
        pytest.importorskip("zstandard")


class StopAfter:
    """A stop that is asked for after some looks at it."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def is_set(self) -> bool:
        self.looks -= 1
        return self.looks < 0


def interrupted(model: Classifier | Scorer, source: Path, target: Path, looks: int = 4, **options: Any) -> int:
    """Leave a part of the rows behind, and give their number."""
    job = Job(str(source), str(target), **options)
    with pytest.raises(StoppedError):
        annotate(job, model.manifest, lambda: model, stop=StopAfter(looks))  # type: ignore[arg-type]
    kept: int = json.loads((target.parent / f".{target.name}.journal").read_text())["rows"]
    assert not target.exists()
    return kept


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
def test_a_scale_that_is_none_is_refused(scorer: Scorer, tmp_path: Path, scale: Any) -> None:
    source = rows.write(tmp_path / "in.jsonl", rows.pairs(3))
    with pytest.raises(InputError, match="scale is"):
        annotate_file(scorer, source, tmp_path / "out.jsonl", scale=scale)


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("none.jsonl", "out.jsonl", "none.jsonl: cannot be read"),
        ("in.jsonl", "in.jsonl", "is the input, expected another file"),
        ("in.jsonl", "link.jsonl", "is the input, expected another file"),
        ("in.jsonl", "there.jsonl", "there.jsonl: is there already; name another file, or replace it with --force"),
        ("in.jsonl", "folder.jsonl", "folder.jsonl: is no regular file"),
        ("in.jsonl", "nowhere.jsonl", "nowhere.jsonl: is no regular file"),
        ("in.jsonl", "o\0.jsonl", "has a NUL character"),
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


def test_an_output_that_exists_is_replaced_when_asked_and_only_when_all_rows_are_there(
    judge: Classifier, tmp_path: Path
) -> None:
    target = tmp_path / "out.jsonl"
    target.write_text("mine")
    good, bad = rows.write(tmp_path / "in.jsonl", rows.pairs(30)), tmp_path / "bad.jsonl"
    bad.write_text(good.read_text() + "{\n")
    with pytest.raises(InputError, match=r"line 31: found no JSON .*; 20 rows before it are kept"):
        annotate_file(judge, bad, target, force=True)
    assert target.read_text() == "mine"
    annotate_file(judge, good, target, force=True)
    assert len(rows.read(target)) == 30
    assert rows.hidden(tmp_path) == []


def test_an_output_that_somebody_else_makes_meanwhile_is_not_replaced(judge: Classifier, tmp_path: Path) -> None:
    source, target = rows.write(tmp_path / "in.jsonl", rows.pairs(30)), tmp_path / "out.jsonl"

    def load() -> Classifier:
        target.write_text("theirs")
        return judge

    with pytest.raises(InputError, match="is there already"):
        annotate(Job(str(source), str(target)), judge.manifest, load)
    assert target.read_text() == "theirs"
    target.unlink()
    annotate_file(judge, source, target, resume=True)
    assert len(rows.read(target)) == 30


@pytest.mark.parametrize("name", ["jsonl", "csv.gz", "tsv.zst", "parquet"])
def test_a_resumed_run_gives_the_bytes_of_one_that_was_not_interrupted(
    judge: Classifier, tmp_path: Path, name: str
) -> None:
    require(name)
    source = rows.write(tmp_path / f"in.{name}", rows.pairs(200))
    target, whole = tmp_path / f"out.{name}", tmp_path / f"whole.{name}"
    options: dict[str, Any] = {"shard": "2/3", "on_error": "null", "columns": ["scores", "score"]}
    annotate_file(judge, source, whole, **options)
    assert 0 < interrupted(judge, source, target, looks=2, **options) < 67
    annotate_file(judge, source, target, resume=True, **options)
    assert target.read_bytes() == whole.read_bytes()
    assert rows.hidden(tmp_path) == []


def test_a_run_that_goes_on_counts_the_rows_of_the_one_before(judge: Classifier, tmp_path: Path) -> None:
    source = rows.write(tmp_path / "in.jsonl", [{"text": "nan", "text_pair": "a"}, *rows.pairs(99)])
    interrupted(judge, source, tmp_path / "out.jsonl", on_error="null")
    summary = annotate_file(judge, source, tmp_path / "out.jsonl", on_error="null", resume=True)
    assert summary == annotate_file(judge, source, tmp_path / "whole.jsonl", on_error="null")
    assert (summary.rows, summary.failed) == (100, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": ["label"]}, r'columns was \["label", "score"\], is \["label"\]'),
        ({"on_error": "null"}, 'on-error was "raise", is "null"'),
        ({"truncate": True}, "truncate was false, is true"),
        ({"shard": "1/2"}, 'shard was "1/1", is "1/2"'),
        ({"fields": ["text_pair", "text"]}, r'fields was \["text", "text_pair"\], is'),
    ],
)
def test_a_resumption_with_other_options_is_refused_and_says_which(
    judge: Classifier, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    source, target = rows.write(tmp_path / "in.jsonl", rows.pairs(100)), tmp_path / "out.jsonl"
    interrupted(judge, source, target)
    with pytest.raises(InputError, match=f"out.jsonl: cannot go on, since {message}.*; repeat the run as it was"):
        annotate_file(judge, source, target, resume=True, **changes)
    annotate_file(judge, source, target, resume=True)
    assert len(rows.read(target)) == 100


def test_a_resumption_with_another_scale_bundle_or_number_of_threads_is_refused(
    judge: Classifier, tagger: Classifier, scorer: Scorer, pair_bundle: Path, tmp_path: Path
) -> None:
    source, target = rows.write(tmp_path / "in.jsonl", rows.pairs(100)), tmp_path / "out.jsonl"
    interrupted(scorer, source, target, scale=(0, 100))
    with pytest.raises(InputError, match=r"scale was \[0.0, 100.0\], is null"):
        annotate_file(scorer, source, target, resume=True)
    with pytest.raises(InputError, match=r'bundle was "[0-9a-f]{64}", is "[0-9a-f]{64}"'):
        annotate_file(tagger, source, target, resume=True)
    interrupted(judge, source, target, force=True)
    with assay.load(pair_bundle, threads=2) as two, pytest.raises(InputError, match="threads was 1, is 2"):
        annotate_file(two, source, target, resume=True)


@pytest.mark.parametrize("name", ["jsonl", "csv", "jsonl.gz", "parquet"])
def test_a_resumption_on_an_input_that_changed_before_the_committed_rows_is_refused(
    judge: Classifier, tmp_path: Path, name: str
) -> None:
    require(name)
    table = rows.pairs(100)
    source, target = rows.write(tmp_path / f"in.{name}", table), tmp_path / f"out.{name}"
    interrupted(judge, source, target)
    rows.write(source, [table[0] | {"text": "other"}, *table[1:]])
    message = "input .* was .*, is" if name == "parquet" else "changed within its first"
    with pytest.raises(InputError, match=message):
        annotate_file(judge, source, target, resume=True)
    rows.write(source, table[:1])
    with pytest.raises(InputError, match=message):
        annotate_file(judge, source, target, resume=True)


@pytest.mark.parametrize("name", ["jsonl", "csv"])
def test_a_file_that_is_mended_after_the_committed_rows_goes_on(judge: Classifier, tmp_path: Path, name: str) -> None:
    source, target = rows.write(tmp_path / f"in.{name}", rows.pairs(100)), tmp_path / f"out.{name}"
    good = source.read_bytes()
    annotate_file(judge, source, tmp_path / f"whole.{name}")
    lines = good.split(b"\n")
    lines[-10] += b"}" if name == "jsonl" else b",,,,"
    source.write_bytes(b"\n".join(lines))
    with pytest.raises(InputError, match=r"80 rows before it are kept: once it is mended, go on with --resume"):
        annotate_file(judge, source, target)
    source.write_bytes(good)
    annotate_file(judge, source, target, resume=True)
    assert target.read_bytes() == (tmp_path / f"whole.{name}").read_bytes()


def test_what_an_interrupted_run_left_is_discarded_only_when_asked(judge: Classifier, tmp_path: Path) -> None:
    source, target = rows.write(tmp_path / "in.jsonl", rows.pairs(100)), tmp_path / "out.jsonl"
    kept = interrupted(judge, source, target)
    with pytest.raises(InputError, match=f"left {kept} rows; go on with --resume, or start over with --force"):
        annotate_file(judge, source, target)
    annotate_file(judge, source, target, force=True, columns=["label"])
    assert list(rows.read(target)[0]) == ["id", "text", "text_pair", "label"]


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"\xff", b'{"schema": 2}', b'{"schema": 1, "x": 1}', WRONG_TYPE])
def test_a_journal_that_is_none_is_refused_and_discarded_when_asked(
    judge: Classifier, tmp_path: Path, data: bytes
) -> None:
    source, target = rows.write(tmp_path / "in.jsonl", rows.pairs(3)), tmp_path / "out.jsonl"
    (tmp_path / ".out.jsonl.journal").write_bytes(data)
    for resume in (False, True):
        with pytest.raises(InputError, match=r"is no journal of assay annotate .*; start over with --force"):
            annotate_file(judge, source, target, resume=resume)
    annotate_file(judge, source, target, force=True)
    assert rows.hidden(tmp_path) == []


def test_a_partial_output_without_its_journal_or_its_bytes_is_refused(judge: Classifier, tmp_path: Path) -> None:
    source, target = rows.write(tmp_path / "in.jsonl", rows.pairs(100)), tmp_path / "out.jsonl"
    interrupted(judge, source, target)
    partial = tmp_path / ".out.jsonl.partial"
    partial.write_bytes(partial.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"partial: has fewer than its .* bytes; start over with --force"):
        annotate_file(judge, source, target, resume=True)
    (tmp_path / ".out.jsonl.journal").unlink()
    with pytest.raises(InputError, match="is there without its journal; start over with --force"):
        annotate_file(judge, source, target, resume=True)


def test_resume_without_anything_left_starts_at_the_beginning(judge: Classifier, tmp_path: Path) -> None:
    source, target = rows.write(tmp_path / "in.jsonl", rows.pairs(30)), tmp_path / "out.jsonl"
    annotate_file(judge, source, target, resume=True)
    with pytest.raises(InputError, match="is there already"):
        annotate_file(judge, source, target, resume=True)


@pytest.mark.parametrize("name", ["jsonl", "csv", "parquet"])
def test_shards_have_every_row_exactly_once_and_interleave_to_the_whole(
    judge: Classifier, tmp_path: Path, name: str
) -> None:
    require(name)
    source = rows.write(tmp_path / f"in.{name}", rows.pairs(101))
    annotate_file(judge, source, tmp_path / f"whole.{name}")
    whole = rows.read(tmp_path / f"whole.{name}")
    merged: list[dict[str, Any]] = [{}] * 101
    for index in range(1, 4):
        annotate_file(judge, source, tmp_path / f"{index}.{name}", shard=f"{index}/3")
        merged[index - 1 :: 3] = rows.read(tmp_path / f"{index}.{name}")
    assert [row["id"] for row in merged] == [row["id"] for row in whole]
    assert [row["label"] for row in merged] == [row["label"] for row in whole]
    scores = [[float(row["score"]) for row in table] for table in (merged, whole)]
    np.testing.assert_allclose(scores[0], scores[1], rtol=0, atol=1e-6)


def test_a_shard_does_not_fail_for_another_ones_rows(judge: Classifier, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"text": "a", "text_pair": "b"}\nno json\n' * 3)
    assert annotate_file(judge, source, tmp_path / "1.jsonl", shard="1/2").rows == 3
    with pytest.raises(InputError, match="line 2: found no JSON"):
        annotate_file(judge, source, tmp_path / "2.jsonl", shard="2/2")
    assert annotate_file(judge, source, tmp_path / "4.jsonl", shard="7/7").rows == 0


def test_windows_end_after_many_bytes_as_well(
    judge: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assay.annotate.columns import Columns, choose_columns
    from assay.annotate.encoders import connect
    from assay.annotate.formats import check_conversion
    from assay.annotate.shards import WHOLE

    monkeypatch.setattr("assay.annotate.windows.BYTES", 1_000)
    source = rows.write(tmp_path / "in.jsonl", [{"text": "a", "text_pair": "b", "x": "y" * 400} for _ in range(10)])
    columns = Columns(choose_columns(judge.manifest, None), None, errors=False)
    formats = check_conversion(str(source), "-")
    opened, _ = connect(str(source), formats, ["text", "text_pair"], "pair", columns, WHOLE)
    windows: Iterator[Any] = opened.windows(None)
    assert [len(window.rows) for window in windows] == [3, 3, 3, 1]
    opened.close()


def test_a_run_that_the_model_fails_keeps_what_was_done(
    judge: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = rows.write(tmp_path / "in.jsonl", rows.pairs(100)), tmp_path / "out.jsonl"
    answers = Classifier.answers
    calls = 0

    def failing(self: Classifier, tokens: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise AssayError("out of memory")
        return answers(self, tokens)

    monkeypatch.setattr(Classifier, "answers", failing)
    with pytest.raises(AssayError, match=r"^out of memory; 40 rows before it are kept"):
        annotate_file(judge, source, target)
    annotate_file(judge, source, target, resume=True)
    assert len(rows.read(target)) == 100


def test_what_is_no_path_and_no_model_is_refused(judge: Classifier, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="source is the int 5, expected the path of a file"):
        annotate_file(judge, 5, tmp_path / "out.jsonl")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="target is a bytes of 9, expected the path of a file"):
        annotate_file(judge, "in.jsonl", b"out.jsonl")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"model is a str of 7 characters, expected what assay.load gives"):
        annotate_file("bundles", "in.jsonl", "out.jsonl")  # type: ignore[arg-type]


def test_a_link_is_replaced_itself_when_asked_and_what_it_points_to_stays(judge: Classifier, tmp_path: Path) -> None:
    source = rows.write(tmp_path / "in.jsonl", rows.pairs(3))
    (tmp_path / "real.jsonl").write_text("mine")
    (tmp_path / "link.jsonl").symlink_to("real.jsonl")
    annotate_file(judge, source, tmp_path / "link.jsonl", force=True)
    assert (tmp_path / "real.jsonl").read_text() == "mine"
    assert len(rows.read(tmp_path / "link.jsonl")) == 3


def test_a_finished_file_that_was_taken_away_before_it_had_its_name_is_not_said_to_be_there(
    judge: Classifier, tmp_path: Path
) -> None:
    source, target = rows.write(tmp_path / "in.jsonl", rows.pairs(100)), tmp_path / "out.jsonl"
    interrupted(judge, source, target)
    journal = tmp_path / ".out.jsonl.journal"
    journal.write_text(json.dumps(json.loads(journal.read_text()) | {"stage": "assembled"}))
    (tmp_path / ".out.jsonl.partial").unlink()
    with pytest.raises(
        InputError, match=r"\.out\.jsonl\.partial: is gone, and has all rows; put it back, or start over"
    ):
        annotate_file(judge, source, target, resume=True)


@pytest.mark.parametrize(("stream", "files"), [("stdin", ("-", "out.jsonl")), ("stdout", ("in.jsonl", "-"))])
def test_a_standard_stream_of_text_alone_is_refused(
    judge: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: str, files: tuple[str, str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows.write(tmp_path / "in.jsonl", rows.pairs(3))
    monkeypatch.setattr(sys, stream, io.StringIO())  # as in a notebook
    with pytest.raises(InputError, match="no bytes, expected"):
        annotate_file(judge, *files)
    assert not (tmp_path / "out.jsonl").exists()
