"""Which files are written, replaced and left alone."""

import io
import sys
from pathlib import Path

import pytest

from assay import Classifier, InputError
from assay.annotate import annotate_file
from assay.annotate.job import Job
from assay.annotate.run import annotate
from tests.runtime.annotate import rows

pytestmark = pytest.mark.usefixtures("small_windows")


def test_force_replaces_an_existing_output_once_all_rows_are_there(judge: Classifier, tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    target.write_text("mine")
    good, bad = rows.write(tmp_path / "in.jsonl", rows.pairs(30)), tmp_path / "bad.jsonl"
    bad.write_text(good.read_text() + "{\n")
    with pytest.raises(InputError, match=r"line 31: found invalid JSON .*; 20 rows are kept"):
        annotate_file(judge, bad, target, force=True)
    assert target.read_text() == "mine"
    annotate_file(judge, good, target, force=True)
    assert len(rows.read(target)) == 30
    assert rows.hidden(tmp_path) == []


def test_an_output_that_someone_else_makes_in_the_meantime_is_not_replaced(judge: Classifier, tmp_path: Path) -> None:
    source, target = rows.write(tmp_path / "in.jsonl", rows.pairs(30)), tmp_path / "out.jsonl"

    def load() -> Classifier:
        target.write_text("theirs")
        return judge

    with pytest.raises(InputError, match="exists already"):
        annotate(Job(str(source), str(target)), judge.manifest, load)
    assert target.read_text() == "theirs"
    target.unlink()
    annotate_file(judge, source, target, resume=True)
    assert len(rows.read(target)) == 30


def test_force_replaces_a_link_and_not_its_target(judge: Classifier, tmp_path: Path) -> None:
    source = rows.write(tmp_path / "in.jsonl", rows.pairs(3))
    (tmp_path / "real.jsonl").write_text("mine")
    (tmp_path / "link.jsonl").symlink_to("real.jsonl")
    annotate_file(judge, source, tmp_path / "link.jsonl", force=True)
    assert (tmp_path / "real.jsonl").read_text() == "mine"
    assert len(rows.read(tmp_path / "link.jsonl")) == 3


@pytest.mark.parametrize(
    ("stream", "files", "expected"),
    [
        ("stdin", ("-", "out.jsonl"), "standard input has no bytes to read"),
        ("stdout", ("in.jsonl", "-"), "standard output takes no bytes"),
    ],
)
def test_a_standard_stream_without_bytes_is_refused(
    judge: Classifier,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stream: str,
    files: tuple[str, str],
    expected: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    rows.write(tmp_path / "in.jsonl", rows.pairs(3))
    monkeypatch.setattr(sys, stream, io.StringIO())  # as in a notebook
    with pytest.raises(InputError, match=expected):
        annotate_file(judge, *files)
    assert not (tmp_path / "out.jsonl").exists()
