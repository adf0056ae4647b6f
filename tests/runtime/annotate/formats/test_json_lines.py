"""JSON lines through annotate_file, as they are read and written."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import Classifier, InputError, NumericalError, Scorer
from assay.annotate import annotate_file
from assay.annotate.columns import Column, Columns
from assay.annotate.formats.json_lines import LineToWrite, encode_lines
from tests.runtime.annotate import rows

LABEL = Columns((Column("label", "text"),), None, errors=False)


def annotated(model: Classifier | Scorer, folder: Path, data: bytes | str, **options: Any) -> list[str]:
    source, target = folder / "in.jsonl", folder / "out.jsonl"
    source.write_bytes(data if isinstance(data, bytes) else data.encode())
    annotate_file(model, source, target, force=True, **options)
    return target.read_bytes().decode().split("\n")[:-1]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"a": 1.0}', '{"a": 1.0, "label": "é"}'),
        ("{}", '{"label": "é"}'),
        ("{ }", '{"label": "é" }'),
        ('  {"a":1e400 ,"b":"}"\t}  ', '  {"a":1e400 ,"b":"}", "label": "é"\t}  '),
    ],
)
def test_the_new_members_stand_before_the_closing_brace_and_the_rest_keeps_its_bytes(line: str, expected: str) -> None:
    assert encode_lines([LineToWrite(line, "\r\n", True)], [("é",)], LABEL).decode() == expected + "\r\n"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text().filter(lambda key: key != "label"), JSON, max_size=4), st.booleans())
def test_an_object_keeps_its_members_next_to_the_new_ones(document: dict[str, Any], escaped: bool) -> None:
    text = json.dumps(document, ensure_ascii=escaped)
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate that was not escaped is no UTF-8
        text = json.dumps(document)
    line = encode_lines([LineToWrite(text, "\n", True)], [("x",)], LABEL).decode()
    assert json.loads(line) == document | {"label": "x"}


def test_numbers_escapes_order_and_line_ends_stay_as_they_were_written(judge: Classifier, tmp_path: Path) -> None:
    lines = [
        '{"z": 1.0, "text": "a", "big": 1e400, "text_pair": "b", "n": NaN}',
        '{"text":"\\u00e9","text_pair":"é","int":%s}' % ("9" * 5_000),
        '{"text": "a", "text_pair": "b", "lone": "\\ud800"}\r',
    ]
    out = annotated(judge, tmp_path, "\n".join(lines))  # the last line has no end
    assert [line.split(', "label"')[0] for line in out] == [line.rstrip("\r").removesuffix("}") for line in lines]
    assert [line.rstrip("\r")[-1] for line in out] == ["}"] * 3
    assert out[2].endswith("}\r")


def test_a_byte_order_mark_is_not_part_of_the_first_row(judge: Classifier, tmp_path: Path) -> None:
    out = annotated(judge, tmp_path, b'\xef\xbb\xbf{"text": "a", "text_pair": "b"}\n')
    assert list(json.loads(out[0])) == ["text", "text_pair", "label", "score"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"text": "a", "text_pair": "b"', "line 2: found invalid JSON"),
        (b"", "line 2: found an empty line, expected a JSON object"),
        (b"[1]", "line 2: found a list of 1, expected a JSON object"),
        (b"[" * 100_000, "line 2: found invalid JSON"),
        (b'{"text": "a"}', 'line 2, field "text_pair": is missing, found text'),
        (b'{"text": 1, "text_pair": "b"}', 'line 2, field "text": found the int 1, expected a text'),
        (b'{"text": %s, "text_pair": "b"}' % (b"9" * 5_000), 'line 2, field "text": found the float inf'),
        (b'{"text": null, "text_pair": "b"}', 'line 2, field "text": found None'),
        (b'{"text": "a", "text_pair": "b", "text": "c"}', 'line 2, field "text": is there twice'),
        (b'{"text": "a", "text_pair": "b", "x": {"y": 1, "y": 1}}', 'line 2, field "y": is there twice'),
        (b'{"text": "a\xff", "text_pair": "b"}', "line 2: byte 0xff at 11 is not UTF-8"),
        (b'{"text": "\\ud800", "text_pair": "b"}', 'line 2, field "text": found the lone surrogate'),
        (b'{"text": "a", "text_pair": "b", "score": 1}', 'line 2, field "score": is there already'),
        (b'{"text": "nan", "text_pair": "b"}', 'line 2, field "text" and "text_pair": the text has the logits'),
    ],
)
def test_a_row_without_an_answer_names_line_and_field_or_keeps_its_place(
    judge: Classifier, tmp_path: Path, line: bytes, message: str
) -> None:
    good = b'{"text": "a", "text_pair": "b"}'
    data = b"\n".join([good, line, good, b""])
    with pytest.raises((InputError, NumericalError)) as caught:
        annotated(judge, tmp_path, data)
    assert f"in.jsonl, {message}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.jsonl").exists()
    out = [json.loads(line, parse_int=float) for line in annotated(judge, tmp_path, data, on_error="null")]
    assert len(out) == 3
    assert f"in.jsonl, {message}" in out[1]["error"]
    assert out[1]["label"] is None
    assert out[0] == out[2]
    assert out[0]["error"] is None
    assert isinstance(out[0]["score"], float)


def test_a_line_that_is_not_an_object_is_kept_as_text(judge: Classifier, tmp_path: Path) -> None:
    lines = ['{"cut": "of', "", "[1]", '{"text": "a", "text_pair": "b", "error": 1}']
    out = [json.loads(line) for line in annotated(judge, tmp_path, "\n".join(lines) + "\n", on_error="null")]
    assert [list(row) for row in out] == [["line", "label", "score", "error"]] * 4
    assert [row["line"] for row in out] == lines


def test_a_text_that_is_too_long_names_line_and_field(scorer: Scorer, tmp_path: Path) -> None:
    data = "".join(json.dumps({"q": {"t": text}}) + "\n" for text in ["a", "a " * 40])
    with pytest.raises(InputError, match=r'in.jsonl, line 2, field "q\.t": the text has 42 tokens, the model reads 16'):
        annotated(scorer, tmp_path, data, fields=["q.t"])
    assert len(annotated(scorer, tmp_path, data, fields=["q.t"], truncate=True)) == 2


def test_an_empty_file_becomes_an_empty_file(judge: Classifier, tmp_path: Path) -> None:
    assert annotated(judge, tmp_path, "") == []
    assert (tmp_path / "out.jsonl").read_bytes() == b""
    assert rows.hidden(tmp_path) == []


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_an_empty_file_becomes_a_valid_compressed_file(judge: Classifier, tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("zstandard")
    target = tmp_path / f"out.jsonl{suffix}"
    (tmp_path / "in.jsonl").write_bytes(b"")
    annotate_file(judge, tmp_path / "in.jsonl", target)
    assert rows.unpack(target) == b""
    assert annotate_file(judge, target, tmp_path / "again.jsonl").rows == 0


def test_a_file_without_line_ends_is_refused_before_it_fills_the_memory(
    judge: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assay.inputs.files.lines.MAX_LINE", 1 << 20)
    with pytest.raises(InputError, match="line 1: is longer than 1 MiB, expected a row per line"):
        annotated(judge, tmp_path, b"x" * (2 << 20), on_error="null")


def test_an_error_about_a_key_with_a_lone_surrogate_is_written_as_utf_8(scorer: Scorer, tmp_path: Path) -> None:
    lines = [r'{"\ud800": 1}', r'{"\ud800": 1, "\ud800": 2, "text": "a"}']
    out = [json.loads(line) for line in annotated(scorer, tmp_path, "\n".join(lines), on_error="null")]
    assert out[0]["error"].endswith(r'field "text": is missing, found \ud800')
    assert r'field "\ud800": is there twice' in out[1]["error"]


def test_a_line_of_very_many_keys_is_read_in_a_moment(scorer: Scorer, tmp_path: Path) -> None:
    # Comparing each key with each takes hours for these.
    line = "{" + "".join(f'"k{number}": 1, ' for number in range(400_000)) + '"k399999": 2, "text": "a"}'
    (out,) = annotated(scorer, tmp_path, line, on_error="null")
    assert 'field "k399999": is there twice in one object' in json.loads(out)["error"]
