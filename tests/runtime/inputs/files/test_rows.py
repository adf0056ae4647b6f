import gzip
import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from assay.errors import InputError
from assay.inputs.files import read_records, read_rows
from tests.runtime.annotate.rows import pack, require


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", '{"text": "a", "text_pair": "b"}\n{"text": "", "text_pair": "c\\nd", "id": 3}\n'),
        ("a.ndjson", '{"text": "a", "text_pair": "b"}\n{"text": "", "text_pair": "c\\nd"}'),
        ("a.JSONL", '\ufeff{"text": "a", "text_pair": "b"}\r\n{"text": "", "text_pair": "c\\nd"}\r\n'),
        ("a.csv", 'text,text_pair\na,b\n,"c\nd"\n'),
        ("a.csv", '\ufeffid,text_pair,text\r\n1,b,a\r\n2,"c\nd",\r\n'),
        ("a.tsv", 'text\ttext_pair\na\tb\n\t"c\nd"\n'),
    ],
)
def test_pairs_are_read_from_every_format(name: str, content: str, tmp_path: Path) -> None:
    assert read_rows(write(tmp_path, name, content), "pair") == [("a", "b"), ("", "c\nd")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", '{"text": "a\\u0000b"}\n{"text": ""}\n{"text": "ü\u2028x"}\n'),
        ("a.csv", 'text,label\na\0b,1\n"",2\nü\u2028x,3\n'),
        ("a.tsv", 'text\na\0b\n""\nü\u2028x\n'),
        ("a.txt", "a\0b\n\nü\u2028x\n"),
        ("a.txt", "\ufeffa\0b\r\n\r\nü\u2028x"),
    ],
)
def test_texts_are_read_from_every_format(name: str, content: str, tmp_path: Path) -> None:
    assert read_rows(write(tmp_path, name, content), "text") == ["a\0b", "", "ü\u2028x"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.txt"])
def test_an_empty_file_has_no_rows(name: str, tmp_path: Path) -> None:
    assert read_rows(write(tmp_path, name, b""), "text") == []


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"text": "a"}\n\n{"text": "b"}\n', "line 2: found an empty line"),
        ("a.csv", "text,x\na,1\n\nb,2\n", "line 3: found 0 cells, expected 2"),
        ("a.jsonl", '{"text": "a"}\n{"text": \n', "line 2: found invalid JSON"),
        ("a.jsonl", "[" * 100_000, "line 1: found invalid JSON"),
        ("a.jsonl", '["a"]', "line 1: found a list of 1"),
        ("a.jsonl", '"a"', "line 1: found a str"),
        ("a.jsonl", '{"txt": "a"}', 'line 1, field "text": is missing, found txt'),
        ("a.jsonl", '{"text": null}', 'line 1, field "text": found None'),
        ("a.jsonl", '{"text": NaN}', 'line 1, field "text": found the float nan'),
        ("a.jsonl", '{"text": "\\ud800"}', 'line 1, field "text": found the lone surrogate'),
        ("a.jsonl", '{"text": ["a", "b"]}', 'line 1, field "text": found a list of 2'),
        ("a.jsonl", '{"text": "a", "text": "b"}', 'line 1, field "text": is there twice in one object'),
        (
            "a.jsonl",
            '{"text": "a", "text_pair": "b"}',
            'line 1, field "text_pair": is there, but',
        ),
        ("a.jsonl", b'{"text": "a"}\n{"text": "\xff"}\n', "line 2: byte 0xff at 10 is not UTF-8"),
        ("a.csv", "", "is empty, expected a header"),
        ("a.csv", "id\n1\n", 'line 1, field "text": is missing, found the columns id'),
        ("a.csv", "text,text\na,b\n", "line 1: found 2 columns named 'text'"),
        ("a.csv", "text,id,id\na,1,2\n", "line 1: found 2 columns named 'id'"),
        ("a.csv", "text,id\na,1\nb\n", "line 3: found 1 cell, expected 2"),
        ("a.csv", "text\na,b\n", "line 2: found 2 cells, expected 1"),
        ("a.csv", 'text\n"a\n', "line 2: unexpected end of data"),
        ("a.csv", 'text\n"a"b\n', "line 2: "),
        ("a.csv", "text,text_pair\na,b\n", 'line 1, field "text_pair": is there'),
        ("a.csv", b"text\n\xe9\n", "line 2: byte 0xe9"),
        ("a.txt", b"a\n\xe9\n", "line 2: byte 0xe9"),
        ("a.parquet", "", "ends in '.parquet', expected .jsonl"),
        ("a", "", "ends in ''"),
    ],
)
def test_a_malformed_line_is_refused_with_file_line_and_field(
    name: str, content: str | bytes, message: str, tmp_path: Path
) -> None:
    path = write(tmp_path, name, content)
    with pytest.raises(InputError) as caught:
        read_rows(path, "text")
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"text": "a"}', 'field "text_pair": is missing'),
        ("a.jsonl", '{"text": "a", "text_pair": 3}', 'line 1, field "text_pair": found the int 3'),
        ("a.csv", "text\na\n", 'field "text_pair": is missing'),
        ("a.txt", "a\n", "a .txt file has single texts"),
    ],
)
def test_half_a_pair_is_refused(name: str, content: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read_rows(write(tmp_path, name, content), "pair")


@pytest.mark.parametrize("make", [Path.exists, Path.mkdir])
def test_a_file_that_cannot_be_read_is_an_input_error(make: Any, tmp_path: Path) -> None:
    make(tmp_path / "a.jsonl")
    with pytest.raises(InputError, match="cannot be read"):
        read_rows(tmp_path / "a.jsonl", "text")
    with pytest.raises(InputError, match="cannot be read"):
        read_rows("a\0.jsonl", "text")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", '{"text": "a"}\n{"text": "b"}\n'),
        ("a.csv", "text,x\r\na,1\r\nb,2\r\n"),
        ("a.tsv", "text\tx\na\t1\nb\t2\n"),
    ],
)
@pytest.mark.parametrize("blank", ["\n", "\r\n", "\n\r\n\n" * 30])
def test_blank_lines_at_the_end_are_no_rows(name: str, content: str, blank: str, tmp_path: Path) -> None:
    path = write(tmp_path, name, content + blank)
    assert read_rows(path, "text") == ["a", "b"]
    assert len(list(read_records(path, ["text"]))) == 2


def test_columns_without_a_name_are_kept_under_their_number(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "text,,b,\na,1,2,3\n")
    assert read_rows(path, "text") == ["a"]
    (record,) = read_records(path, ["text", "column_4"])
    assert record.value == {"text": "a", "column_2": "1", "b": "2", "column_4": "3"}
    with pytest.raises(InputError, match="found 2 columns named 'column_2', expected each name once"):
        read_rows(write(tmp_path, "b.csv", "text,,column_2\na,1,2\n"), "text")


@pytest.mark.parametrize(
    ("format", "content", "kind", "rows"),
    [
        ("jsonl", '{"text": "a"}\n', "text", ["a"]),
        ("csv", 'text,text_pair\n"a\n",b\n', "pair", [("a\n", "b")]),
        ("tsv", "x\ttext\n1\ta\n", "text", ["a"]),
        ("txt", "a\n\n", "text", ["a", ""]),
    ],
)
def test_standard_input_has_the_format_that_the_caller_names(
    format: str, content: str, kind: Any, rows: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content.encode())))
    assert read_rows("-", kind, format=format) == rows


def test_a_format_is_for_standard_input_alone(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "text\na\n")
    with pytest.raises(InputError, match=r"format is 'tsv', but it is for '-' only: .*a\.csv tells its own"):
        read_rows(path, "text", format="tsv")
    for wrong in ("parquet", "xml", 3, ["csv"]):
        with pytest.raises(InputError, match=r"format is .*, expected jsonl, csv, tsv or txt"):
            read_rows("-", "text", format=wrong)
    with pytest.raises(InputError, match="expected jsonl, csv or tsv"):
        list(read_records("-", ["text"], format="txt"))


def test_standard_input_is_json_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b'{"text": "a"}\n{"text": "b"}\n')))
    assert read_rows("-", "text") == ["a", "b"]
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"a\n")))
    with pytest.raises(InputError, match="standard input, line 1"):
        read_rows("-", "text")


def test_a_cell_beyond_the_csv_modules_own_limit_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "text\n" + "a" * 200_000 + "\n")
    assert read_rows(path, "text") == ["a" * 200_000]
    with pytest.raises(InputError, match="characters, expected at most"):
        read_rows(write(tmp_path, "b.csv", "text\n" + "a" * 1_000_001 + "\n"), "text")


@pytest.mark.parametrize("compression", [".gz", ".zst"])
@pytest.mark.parametrize(
    ("name", "content"), [("a.jsonl", '{"text": "a"}\n{"text": "b"}\n'), ("a.csv", "text\na\nb\n"), ("a.txt", "a\nb\n")]
)
def test_compressed_files_are_read(name: str, content: str, compression: str, tmp_path: Path) -> None:
    require(name + compression)
    path = write(tmp_path, name + compression, pack(content.encode(), compression))
    assert read_rows(path, "text") == ["a", "b"]
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match=r"is (damaged|cut short)"):
        read_rows(path, "text")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (gzip.compress(b"a", mtime=0), "line 1: byte 0x8b at 1 is not UTF-8; it is gzip: .* end in .gz"),
        (b"\x28\xb5\x2f\xfd\x00", "it is Zstandard: .* end in .zst"),
        (b"\xff\xfea\x00", "line 1: byte 0xff at 0 is not UTF-8; it is UTF-16"),
        (b"\xfe\xff\x00a", "it is UTF-16"),
        ("é".encode("latin-1"), "is not UTF-8; convert the file"),
        (b"a\n" + b"\xff\xfea\x00", "line 2: byte 0xff at 0 is not UTF-8; convert the file"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_recognised(data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(data)
    with pytest.raises(InputError, match=message):
        read_rows(tmp_path / "a.txt", "text")


_CYRILLIC = "\u0434\u0430\n\u043d\u0435\u0442\n"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "a b\nc\n"),
        ("a.txt", "a b\r\nc\r\n"),
        ("a.txt", "one line without an end"),
        ("a.txt", "\n\n"),
        ("a.txt", "waits…\n"),
        ("a.txt", _CYRILLIC),
        ("a.csv", "text\na\n"),
        ("a.tsv", "text\na\n"),
        ("a.jsonl", '{"text": "a"}\n'),
    ],
)
def test_utf_16_without_a_mark_is_refused_by_its_name(name: str, content: str, encoding: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content.encode(encoding))
    with pytest.raises(
        InputError, match=rf"{name}, line [12]: found NUL bytes where UTF-16 .*; convert the file to UTF-8"
    ):
        read_rows(tmp_path / name, "text")


@pytest.mark.parametrize("text", ["a\0b", "a\0\0bcdefgh", "abc \0 def \0 ghi"])
def test_nul_characters_within_a_line_are_text(text: str, tmp_path: Path) -> None:
    assert read_rows(write(tmp_path, "a.txt", f"{text}\n{text}"), "text") == [text, text]
