"""Reports of whole runs, read as a browser reads them."""

import json
import threading
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from assay import AssayError, Classifier, InputError, Scorer
from assay.annotate import annotate_file
from assay.annotate.job import Job
from assay.annotate.run import StoppedError, annotate
from tests.runtime.annotate import rows

EVIL = '</blockquote><script>alert("1")</script><img src="http://x.test/y"> & \x1b[31m \u202e "'


class Page(HTMLParser):
    """The elements of a page, and its bars: the text of each row of its tables."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.table: list[list[str]] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += attrs
        if tag == "tr":
            self.table.append([])
        elif tag in ("td", "th"):
            self.table[-1].append("")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.lasttag in ("td", "th"):
            self.table[-1][-1] += data.strip()

    def counts(self, names: list[str]) -> list[int]:
        return [int(row[1].replace(",", "")) for name in names for row in self.table if row[0] == name]


@pytest.mark.parametrize("name", ["jsonl", "csv", "tsv", "jsonl.gz", "parquet"])
def test_the_page_counts_labels_as_the_output_has_them(judge: Classifier, tmp_path: Path, name: str) -> None:
    rows.require(name)
    source = rows.write(tmp_path / f"in.{name}", [{"id": 99, "text": "nan", "text_pair": "a"}, *rows.pairs(80)])
    summary = annotate_file(judge, source, tmp_path / f"out.{name}", on_error="null", report=tmp_path / "report.html")
    page = Page(tmp_path / "report.html")
    labels = Counter(row["label"] for row in rows.read(tmp_path / f"out.{name}") if row["label"])
    assert page.counts(list(judge.labels)) == [labels[label] for label in judge.labels]
    assert ["Rows", "81"] in page.table
    assert ["Rows without an answer", str(summary.failed)] in page.table
    assert summary.failed == 1
    assert "Rows without an answer: 1" in page.text
    assert sum(page.counts([f"{low / 10:.4g} to {low / 10 + 0.1:.4g}" for low in range(10)])) == 80
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".report")]


def test_scores_are_counted_in_ranges_of_the_scale_or_of_the_rows(scorer: Scorer, tmp_path: Path) -> None:
    texts = [row["text"] for row in rows.pairs(60)]
    source = rows.write(tmp_path / "in.jsonl", [{"text": text} for text in texts])
    annotate_file(scorer, source, tmp_path / "a.jsonl", columns=["score"], scale=(0, 100), report=tmp_path / "a.html")
    scores = scorer.score_batch(texts, scale=(0, 100))
    expected = [
        sum((low <= score < low + 10) or (score == low + 10 == 100) for score in scores) for low in range(0, 100, 10)
    ]
    assert Page(tmp_path / "a.html").counts([f"{low} to {low + 10}" for low in range(0, 100, 10)]) == expected
    annotate_file(
        scorer, source, tmp_path / "b.jsonl", columns=["score", "evol_complexity"], report=tmp_path / "b.html"
    )
    page = Page(tmp_path / "b.html")
    found = scorer.score_batch(texts)
    assert any(row[0].startswith(f"{float(found.min()):.4g} to ") for row in page.table)
    assert any(row[0].endswith(f" to {float(found.max()):.4g}") for row in page.table)
    evol = Counter(scorer.evol_complexity_batch(texts).tolist())
    start = next(place for place, row in enumerate(page.table) if row[0] == "1" and len(row) == 4)
    assert [int(row[1]) for row in page.table[start : start + 6]] == [evol[number] for number in range(1, 7)]


def test_rows_without_any_label_are_counted(tagger: Classifier, tmp_path: Path) -> None:
    texts = ["rain is water", "a", "what", "b c"]
    source = rows.write(tmp_path / "in.jsonl", [{"text": text} for text in texts])
    annotate_file(tagger, source, tmp_path / "out.jsonl", threshold=0.9, report=tmp_path / "report.html")
    found = [row["labels"] for row in rows.read(tmp_path / "out.jsonl")]
    without = sum(not labels for labels in found)
    assert without
    assert Page(tmp_path / "report.html").counts(["no label"]) == [without]


def test_no_text_of_the_data_becomes_markup_and_nothing_is_loaded(scorer: Scorer, tmp_path: Path) -> None:
    source = tmp_path / "<b>in.jsonl"
    lines = [json.dumps({"text": EVIL}), json.dumps({"text": EVIL * 40}), json.dumps({EVIL: 1})]
    source.write_text("\n".join(lines) + "\n")
    annotate_file(scorer, source, tmp_path / "out.jsonl", on_error="null", truncate=True, report=tmp_path / "r.html")
    page = Page(tmp_path / "r.html")
    assert not page.tags.keys() & {"script", "img", "link", "iframe", "b"}
    assert {name for name, _ in page.attributes} <= {"lang", "charset", "http-equiv", "content", "class", "style"}
    assert '<script>alert("1")</script><img src="http://x.test/y"> & \\x1b[31m \\u202e' in page.text
    assert page.tags["blockquote"] == 2
    raw = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "\x1b" not in raw
    assert "default-src 'none'" in raw


class StopAfter(threading.Event):
    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks = looks

    def is_set(self) -> bool:
        self.looks -= 1
        return self.looks < 0


@pytest.mark.usefixtures("small_windows")
def test_a_run_that_went_on_has_the_report_of_one_that_was_not_interrupted(judge: Classifier, tmp_path: Path) -> None:
    source = rows.write(tmp_path / "in.jsonl", rows.pairs(200))
    for folder in ("whole", "resumed"):
        (tmp_path / folder).mkdir()
    annotate_file(judge, source, tmp_path / "whole/out.jsonl", report=tmp_path / "whole/r.html")
    target, page = tmp_path / "resumed/out.jsonl", tmp_path / "resumed/r.html"
    job = Job(str(source), str(target), report=str(page))
    with pytest.raises(StoppedError):
        annotate(job, judge.manifest, lambda: judge, stop=StopAfter(4))
    assert not page.exists()
    annotate_file(judge, source, target, report=page, resume=True)
    assert page.read_text().replace("resumed", "whole") == (tmp_path / "whole/r.html").read_text()


def test_a_report_that_cannot_be_made_is_refused_before_the_run(judge: Classifier, tmp_path: Path) -> None:
    source, target, page = rows.write(tmp_path / "in.jsonl", rows.pairs(3)), tmp_path / "out.jsonl", tmp_path / "r.html"
    page.write_text("mine")
    cases: list[tuple[Any, Any, str]] = [
        ("-", tmp_path / "new.html", "--report needs a file"),
        (target, "-", "--report needs a file"),
        (target, target, "is the input or OUTPUT"),
        (target, source, "is the input or OUTPUT"),
        (target, page, "exists already"),
        (target, tmp_path / "none/r.html", "is in no folder that exists"),
        (target, 3, "report is the int 3"),
    ]
    for output, report, message in cases:
        with pytest.raises(InputError, match=message):
            annotate_file(judge, source, output, report=report)
    assert page.read_text() == "mine"
    assert not target.exists()
    annotate_file(judge, source, target, report=page, force=True)
    assert "<!DOCTYPE html>" in page.read_text()


def test_a_report_that_cannot_be_written_says_that_the_output_is_complete(
    judge: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = rows.write(tmp_path / "in.jsonl", rows.pairs(3))

    def fail(_: Path) -> Any:
        raise OSError("no space")

    monkeypatch.setattr("assay.annotate.report.make.write_whole", fail)
    with pytest.raises(AssayError, match=r"r.html: cannot be written \(no space\); .*out.jsonl is complete"):
        annotate_file(judge, source, tmp_path / "out.jsonl", report=tmp_path / "r.html")
    assert (tmp_path / "out.jsonl").exists()
