"""Going on from what an interrupted run left."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

import assay
from assay import AssayError, Classifier, InputError, Scorer
from assay.annotate import annotate_file
from assay.annotate.job import Job
from assay.annotate.run import StoppedError, annotate
from assay.models.runner import Runner
from tests.runtime.annotate import rows
from tests.runtime.annotate.rows import require

pytestmark = pytest.mark.usefixtures("small_windows")


LONG_NAME = b'{"schema": 2, "' + b"9" * 5_000 + b'": 1}'
WRONG_TYPE = b'{"schema": 2, "identity": 5, "replace": false, "rows": 7}'


class StopAfter(threading.Event):
    """An event that is set once it was looked at `looks` times."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks = looks

    def is_set(self) -> bool:
        self.looks -= 1
        return self.looks < 0


def interrupt(model: Classifier | Scorer, source: Path, target: Path, looks: int = 4, **options: Any) -> int:
    """Interrupt a run, and return how many rows it left."""
    job = Job(str(source), str(target), **options)
    with pytest.raises(StoppedError):
        annotate(job, model.manifest, lambda: model, stop=StopAfter(looks))
    kept: int = json.loads((target.parent / f".{target.name}.journal").read_text())["rows"]
    assert not target.exists()
    return kept


@pytest.mark.parametrize("name", ["jsonl", "csv.gz", "tsv.zst", "parquet"])
def test_a_resumed_run_writes_the_bytes_of_an_uninterrupted_one(judge: Classifier, tmp_path: Path, name: str) -> None:
    require(name)
    source = rows.write(tmp_path / f"in.{name}", rows.pairs(200))
    target, whole = tmp_path / f"out.{name}", tmp_path / f"whole.{name}"
    options: dict[str, Any] = {"shard": "2/3", "on_error": "null", "columns": ["scores", "score"]}
    annotate_file(judge, source, whole, **options)
    assert 0 < interrupt(judge, source, target, looks=2, **options) < 67
    annotate_file(judge, source, target, resume=True, **options)
    assert target.read_bytes() == whole.read_bytes()
    assert rows.hidden(tmp_path) == []


def test_a_resumed_run_counts_the_rows_of_the_one_before(judge: Classifier, tmp_path: Path) -> None:
    source = rows.write(tmp_path / "in.jsonl", [{"text": "nan", "text_pair": "a"}, *rows.pairs(99)])
    interrupt(judge, source, tmp_path / "out.jsonl", on_error="null")
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
def test_resume_with_other_options_is_refused_and_names_them(
    judge: Classifier, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    source, target = rows.write(tmp_path / "in.jsonl", rows.pairs(100)), tmp_path / "out.jsonl"
    interrupt(judge, source, target)
    with pytest.raises(InputError, match=f"cannot go on because {message}.*; repeat the run with the same options"):
        annotate_file(judge, source, target, resume=True, **changes)
    annotate_file(judge, source, target, resume=True)
    assert len(rows.read(target)) == 100


def test_resume_with_another_scale_bundle_or_number_of_threads_is_refused(
    judge: Classifier, tagger: Classifier, scorer: Scorer, pair_bundle: Path, tmp_path: Path
) -> None:
    source, target = rows.write(tmp_path / "in.jsonl", rows.pairs(100)), tmp_path / "out.jsonl"
    interrupt(scorer, source, target, scale=(0, 100))
    with pytest.raises(InputError, match=r"scale was \[0.0, 100.0\], is null"):
        annotate_file(scorer, source, target, resume=True)
    with pytest.raises(InputError, match=r'bundle was "[0-9a-f]{64}", is "[0-9a-f]{64}"'):
        annotate_file(tagger, source, target, resume=True)
    interrupt(judge, source, target, force=True)
    with assay.load(pair_bundle, threads=2) as two, pytest.raises(InputError, match="threads was 1, is 2"):
        annotate_file(two, source, target, resume=True)


def test_int8_goes_on_with_another_instruction_set_to_the_same_bytes(
    int8_pair_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = assay.load_classifier(int8_pair_bundle, variant="int8", threads=1)
    source, target, whole = (
        rows.write(tmp_path / "in.jsonl", rows.pairs(100)),
        tmp_path / "out.jsonl",
        tmp_path / "whole.jsonl",
    )
    annotate_file(best, source, whole)
    interrupt(best, source, target)
    monkeypatch.setenv("ASSAY_KERNELS_ISA", "plain")
    plain = assay.load_classifier(int8_pair_bundle, variant="int8", threads=1)
    assert plain.info["instruction_set"] == "plain"
    annotate_file(plain, source, target, resume=True)
    assert target.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("name", ["jsonl", "csv", "jsonl.gz", "parquet"])
def test_resume_refuses_an_input_that_changed_within_the_committed_rows(
    judge: Classifier, tmp_path: Path, name: str
) -> None:
    require(name)
    table = rows.pairs(100)
    source, target = rows.write(tmp_path / f"in.{name}", table), tmp_path / f"out.{name}"
    interrupt(judge, source, target)
    rows.write(source, [table[0] | {"text": "other"}, *table[1:]])
    message = "input .* was .*, is" if name == "parquet" else "changed within its first"
    with pytest.raises(InputError, match=message):
        annotate_file(judge, source, target, resume=True)
    rows.write(source, table[:1])
    with pytest.raises(InputError, match=message):
        annotate_file(judge, source, target, resume=True)


@pytest.mark.parametrize("name", ["jsonl", "csv"])
def test_a_run_goes_on_after_an_input_was_fixed_beyond_the_committed_rows(
    judge: Classifier, tmp_path: Path, name: str
) -> None:
    source, target = rows.write(tmp_path / f"in.{name}", rows.pairs(100)), tmp_path / f"out.{name}"
    good = source.read_bytes()
    annotate_file(judge, source, tmp_path / f"whole.{name}")
    lines = good.split(b"\n")
    lines[-10] += b"}" if name == "jsonl" else b",,,,"
    source.write_bytes(b"\n".join(lines))
    with pytest.raises(InputError, match=r"80 rows are kept: fix the cause, then go on with --resume"):
        annotate_file(judge, source, target)
    source.write_bytes(good)
    annotate_file(judge, source, target, resume=True)
    assert target.read_bytes() == (tmp_path / f"whole.{name}").read_bytes()


def test_only_force_discards_what_an_interrupted_run_left(judge: Classifier, tmp_path: Path) -> None:
    source, target = rows.write(tmp_path / "in.jsonl", rows.pairs(100)), tmp_path / "out.jsonl"
    kept = interrupt(judge, source, target)
    with pytest.raises(InputError, match=f"left {kept} rows; go on with --resume, or start over with --force"):
        annotate_file(judge, source, target)
    annotate_file(judge, source, target, force=True, columns=["label"])
    assert list(rows.read(target)[0]) == ["id", "text", "text_pair", "label"]


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[1]", b"\xff", b'{"schema": 1}', b'{"schema": 2, "x": 1}', WRONG_TYPE, LONG_NAME]
)
def test_a_damaged_journal_is_refused_and_force_discards_it(judge: Classifier, tmp_path: Path, data: bytes) -> None:
    source, target = rows.write(tmp_path / "in.jsonl", rows.pairs(3)), tmp_path / "out.jsonl"
    (tmp_path / ".out.jsonl.journal").write_bytes(data)
    for resume in (False, True):
        with pytest.raises(
            InputError, match=r"is not a journal of assay annotate .*; start over with --force"
        ) as caught:
            annotate_file(judge, source, target, resume=resume)
        assert len(str(caught.value)) < 1_000
    annotate_file(judge, source, target, force=True)
    assert rows.hidden(tmp_path) == []


def test_a_partial_output_without_its_journal_or_its_bytes_is_refused(judge: Classifier, tmp_path: Path) -> None:
    source, target = rows.write(tmp_path / "in.jsonl", rows.pairs(100)), tmp_path / "out.jsonl"
    interrupt(judge, source, target)
    partial = tmp_path / ".out.jsonl.partial"
    partial.write_bytes(partial.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"partial: has fewer than its .* bytes; start over with --force"):
        annotate_file(judge, source, target, resume=True)
    (tmp_path / ".out.jsonl.journal").unlink()
    with pytest.raises(InputError, match="is there without its journal; start over with --force"):
        annotate_file(judge, source, target, resume=True)


@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet", "out.jsonl.gz"])
@pytest.mark.parametrize("place", [0, 0.5, 1])
def test_a_byte_that_changed_in_the_partial_output_is_refused(
    judge: Classifier, tmp_path: Path, name: str, place: float
) -> None:
    require(name)
    source = rows.write(tmp_path / f"in{Path(name.removesuffix('.gz')).suffix}", rows.pairs(100))
    interrupt(judge, source, tmp_path / name)
    partial = tmp_path / f".{name}.partial"
    data = bytearray(partial.read_bytes())
    data[int(place * (len(data) - 1))] ^= 1
    partial.write_bytes(data)
    with pytest.raises(InputError, match=r"partial: changed since it was written, .*; start over with --force"):
        annotate_file(judge, source, tmp_path / name, resume=True)
    assert partial.read_bytes() == data


@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet"])
@pytest.mark.parametrize("renamed", [False, True])
def test_a_finished_file_that_changed_before_its_journal_was_removed_is_refused(
    judge: Classifier, tmp_path: Path, name: str, renamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    require(name)
    source, target = rows.write(tmp_path / f"in{Path(name).suffix}", rows.pairs(30)), tmp_path / name

    replace = Path.replace

    def fail_at_the_target(self: Path, to: Path) -> Path:
        if to != target:
            return replace(self, to)
        if renamed:
            replace(self, to)
        raise OSError("power failure")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", fail_at_the_target)
        with pytest.raises(AssayError, match="power failure"):
            annotate_file(judge, source, target)
    finished = next(path for path in (target, *sorted(tmp_path.glob(f".{name}.[ap]*"))) if path.exists())
    good = finished.read_bytes()
    finished.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(InputError, match="changed since it was written"):
        annotate_file(judge, source, target, resume=True)
    finished.write_bytes(good)
    annotate_file(judge, source, target, resume=True)
    assert (target.read_bytes(), rows.hidden(tmp_path)) == (good, [])


def test_resume_starts_at_the_beginning_where_nothing_was_left(judge: Classifier, tmp_path: Path) -> None:
    source, target = rows.write(tmp_path / "in.jsonl", rows.pairs(30)), tmp_path / "out.jsonl"
    annotate_file(judge, source, target, resume=True)
    with pytest.raises(InputError, match="exists already"):
        annotate_file(judge, source, target, resume=True)


def test_a_run_whose_model_fails_keeps_the_rows_before(
    judge: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = rows.write(tmp_path / "in.jsonl", rows.pairs(100)), tmp_path / "out.jsonl"
    answer = Runner.answer
    calls = 0

    def fail(self: Runner, tokens: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise AssayError("out of memory")
        return answer(self, tokens)

    monkeypatch.setattr(Runner, "answer", fail)
    with pytest.raises(AssayError, match=r"^out of memory; 40 rows are kept"):
        annotate_file(judge, source, target)
    annotate_file(judge, source, target, resume=True)
    assert len(rows.read(target)) == 100


def test_a_finished_file_that_was_removed_before_its_renaming_is_missed(judge: Classifier, tmp_path: Path) -> None:
    source, target = rows.write(tmp_path / "in.jsonl", rows.pairs(100)), tmp_path / "out.jsonl"
    interrupt(judge, source, target)
    journal = tmp_path / ".out.jsonl.journal"
    journal.write_text(json.dumps(json.loads(journal.read_text()) | {"stage": "assembled"}))
    (tmp_path / ".out.jsonl.partial").unlink()
    with pytest.raises(
        InputError, match=r"\.out\.jsonl\.partial: is missing, and had all rows; restore it, or start over"
    ):
        annotate_file(judge, source, target, resume=True)
