"""Labelled rows: what is read, and what is a bad row with which reason."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import InputError
from assay.inputs.validation import MAX_CHARACTERS
from benchmarks.quality.data import BadRow, BadValueError, LabelledRow, read
from benchmarks.quality.labels import make_class_parser, make_score_parser

LABELS = ("YES", "NO")


def rows_of(
    path: Path, data: bytes | str, texts: tuple[str, ...] = ("text",), label: str = "label", parse: Any = None
) -> tuple[list[LabelledRow], list[BadRow]]:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return read(path, texts, label, parse or make_class_parser(LABELS))


def only_reason(path: Path, data: bytes | str, **options: Any) -> str:
    good, (bad,) = rows_of(path, data, **options)
    assert good == []
    return bad.reason


def test_a_label_is_a_name_or_an_index_in_json_and_in_cells(tmp_path: Path) -> None:
    lines = [{"text": "a", "label": "NO"}, {"text": "b", "label": 0}, {"text": "c", "label": "1"}]
    good, bad = rows_of(tmp_path / "x.jsonl", "\n".join(map(json.dumps, lines)))
    assert good == [LabelledRow(1, "a", 1), LabelledRow(2, "b", 0), LabelledRow(3, "c", 1)]
    assert bad == []
    assert rows_of(tmp_path / "x.csv", "label,text\nNO,a\n0,b\n1,c\n") == (
        [LabelledRow(2, "a", 1), LabelledRow(3, "b", 0), LabelledRow(4, "c", 1)],
        [],
    )


def test_an_index_is_refused_where_names_are_integers_themselves() -> None:
    stars = make_class_parser(("1", "2", "3"))
    assert stars(1) == stars("1") == 0
    with pytest.raises(BadValueError, match=r"label 0 is unknown, expected 1, 2, 3$"):
        stars(0)


@pytest.mark.parametrize(
    "label", ["MAYBE", "yes", " NO", "2", "-1", "1.0", 2, -1, 1.0, True, None, ["YES"], {}, 10**30]
)
def test_an_unknown_label_is_a_bad_row_that_says_what_was_expected(label: object, tmp_path: Path) -> None:
    reason = only_reason(tmp_path / "x.jsonl", json.dumps({"text": "a", "label": label}))
    assert reason.startswith("label ")
    assert reason.endswith(" is unknown, expected YES, NO or an index, 0 to 1")
    assert len(reason) < 140


@pytest.mark.parametrize(
    "score", ["NaN", "Infinity", "-Infinity", "1e999", '"nan"', '"inf"', '"1_0"', '"high"', '""', "null", "true", "[1]"]
)
def test_a_score_that_is_no_finite_number_is_a_bad_row(score: str, tmp_path: Path) -> None:
    line = f'{{"text": "a", "label": {score}}}'
    assert "is not a finite number" in only_reason(tmp_path / "x.jsonl", line, parse=make_score_parser(None))


def test_a_score_outside_its_scale_is_a_bad_row_that_names_the_option(tmp_path: Path) -> None:
    good, bad = rows_of(tmp_path / "x.csv", "text,label\na,1\nb,1.5\nc,-0.1\n", parse=make_score_parser((0.0, 1.0)))
    assert [row.label for row in good] == [1.0]
    assert [row.line for row in bad] == [3, 4]
    assert bad[0].reason == 'score "1.5" is outside the labels\' scale, 0 to 1 (--label-scale)'


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"label": "YES"}', 'field "text": is missing'),
        (b'{"text": "a"}', 'field "label": is missing'),
        (b'{"text": "", "label": "YES"}', 'field "text": is empty'),
        (b'{"text": " \\n", "label": "YES"}', 'field "text": is empty'),
        (b'{"text": null, "label": "YES"}', 'field "text": found None, expected a text (str)'),
        (b'{"text": 5, "label": "YES"}', 'field "text": found the int 5, expected a text (str)'),
        (b'{"text": "a"', "found invalid JSON"),
        (b"", "found an empty line"),
        (b'["a", "YES"]', "found a list of 2, expected a JSON object"),
        (b"[" * 100_000, "found invalid JSON"),
        (b'{"text": "\xff", "label": "YES"}', "byte 0xff at 10 is not UTF-8"),
        (b'{"text": "\\ud800", "label": "YES"}', "lone surrogate"),
        (b'{"text": "' + b"a" * (MAX_CHARACTERS + 1) + b'", "label": "YES"}', "1,000,001 characters"),
    ],
    ids=range(13),
)
def test_a_bad_line_of_json_costs_itself_only(line: bytes, reason: str, tmp_path: Path) -> None:
    around = b'{"text": "a", "label": "YES"}\n'
    good, (bad,) = rows_of(tmp_path / "x.jsonl", around + line + b"\n" + around)
    assert [row.line for row in good] == [1, 3]
    assert bad.line == 2
    assert reason in bad.reason


def test_a_pair_needs_both_of_its_texts(tmp_path: Path) -> None:
    lines = [{"q": "a", "r": "b"}, {"q": "a", "r": ""}, {"q": "a"}, {"q": "a" * 600_000, "r": "b" * 600_000}]
    data = "".join(json.dumps(line | {"label": "NO"}) + "\n" for line in lines)
    good, bad = rows_of(tmp_path / "x.jsonl", data, texts=("q", "r"))
    assert good == [LabelledRow(1, ("a", "b"), 1)]
    assert [(row.line, row.reason.split(",")[0]) for row in bad] == [
        (2, 'field "r": is empty'),
        (3, 'field "r": is missing'),
        (4, "text and text_pair: 1"),
    ]
    assert "1,200,000 characters together" in bad[2].reason


def test_a_dotted_path_goes_through_objects_and_lists_and_an_exact_name_wins(tmp_path: Path) -> None:
    lines = [
        {"a": {"b": [{"c": "deep"}]}, "label": "NO"},
        {"a.b.0.c": "flat", "a": {}, "label": "NO"},
        {"a": {"b": []}, "label": "NO"},
        {"a": "text", "label": "NO"},
    ]
    good, bad = rows_of(tmp_path / "x.jsonl", "\n".join(map(json.dumps, lines)), texts=("a.b.0.c",))
    assert [row.row for row in good] == ["deep", "flat"]
    assert [(row.line, row.reason.split(",")[0]) for row in bad] == [
        (3, 'field "a.b.0.c": is missing'),
        (4, 'field "a.b.0.c": is missing'),
    ]


def test_a_table_keeps_its_place_after_bad_lines_and_cells_of_several_lines(tmp_path: Path) -> None:
    data = b'text,label\r\n"two\nlines",YES\r\nshort\r\n\r\n"a"b,YES\r\n\xffc,YES\r\nd,NO\r\n'
    good, bad = rows_of(tmp_path / "x.csv", data)
    assert good == [LabelledRow(2, "two\nlines", 0), LabelledRow(8, "d", 1)]
    assert [row.line for row in bad] == [4, 5, 6, 7]
    assert bad[0].reason == "found 1 cell, expected 2 as in the header"
    assert bad[1].reason == "found 0 cells, expected 2 as in the header"
    assert "expected after" in bad[2].reason
    assert "not UTF-8" in bad[3].reason


def test_an_open_quote_is_text_in_a_tsv_and_one_bad_row_in_a_csv(tmp_path: Path) -> None:
    data = 'text\tlabel\na\tNO\n"b\tNO\nc\tNO\nd\tNO\n'
    good, bad = rows_of(tmp_path / "x.tsv", data)
    assert ([row.line for row in good], bad) == ([2, 3, 4, 5], [])
    good, (unclosed,) = rows_of(tmp_path / "x.csv", data.replace("\t", ","))
    assert [row.line for row in good] == [2]
    assert unclosed.line == 3
    assert "5" in unclosed.reason


@pytest.mark.parametrize("name", ["x.jsonl", "x.csv"])
def test_a_byte_order_mark_and_gzip_change_nothing(name: str, tmp_path: Path) -> None:
    data = b'{"text": "a", "label": "NO"}\n' if name == "x.jsonl" else b"text,label\na,NO\n"
    plain = rows_of(tmp_path / name, data)
    assert len(plain[0]) == 1
    assert rows_of(tmp_path / name, b"\xef\xbb\xbf" + data) == plain
    assert rows_of(tmp_path / f"{name}.gz", gzip.compress(data)) == plain


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("x.txt", b"a", "ends in '.txt', expected .jsonl, .ndjson, .csv or .tsv"),
        ("x.csv", b"", "is empty, expected a header line"),
        ("x.csv", b"text,lable\na,NO\n", 'field "label": is missing, found the columns text, lable'),
        ("x.csv", b"text,text,label\na,b,NO\n", "found 2 columns named 'text'"),
        ("x.csv", b'"text,label\na,NO\n', "quote cells as CSV does"),
        ("x.csv.gz", b"text,label\n", "is damaged or cut short"),
        ("x.jsonl.gz", gzip.compress(b'{"text": "a", "label": "NO"}\n' * 9)[:-9], "is damaged or cut short"),
    ],
    ids=["suffix", "empty", "no label", "two texts", "open header", "not gzip", "cut gzip"],
)
def test_a_file_that_cannot_be_read_as_a_whole_is_refused(name: str, data: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as refused:
        rows_of(tmp_path / name, data)
    assert str(refused.value).startswith(str(tmp_path / name))
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path / "none.jsonl", ["text"], "label", make_class_parser(LABELS))


@given(lines=st.lists(st.binary(max_size=30).filter(lambda line: b"\n" not in line), max_size=20))
def test_every_line_of_json_lines_is_a_good_row_or_a_bad_one(
    lines: list[bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    lines = [*lines, b'{"text": "a", "label": 1}']
    good, bad = rows_of(tmp_path_factory.mktemp("data") / "x.jsonl", b"\n".join(lines))
    assert sorted([row.line for row in good] + [row.line for row in bad]) == list(range(1, len(lines) + 1))
