"""Records of any fields, with an error in the place of one that is malformed."""

from pathlib import Path

import pytest

from assay import InputError
from assay.inputs.files import read_records, read_rows
from assay.inputs.files.fields import read_texts
from tests.runtime.annotate.rows import pack, require


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", '{"text": "a", "label": "x"}\n{"text": "b\\nc", "label": "y"}\n'),
        ("a.csv", '\ufefftext,label\r\na,x\r\n"b\nc",y\r\n'),
        ("a.tsv", 'text\tlabel\na\tx\n"b\nc"\ty'),
    ],
)
@pytest.mark.parametrize("compression", ["", ".gz", ".zst"])
def test_every_format_is_read_plain_and_compressed(name: str, content: str, compression: str, tmp_path: Path) -> None:
    require(name + compression)
    path = write(tmp_path, name + compression, pack(content.encode(), compression))
    records = list(read_records(path, ["text", "label"]))
    assert [record.value for record in records] == [{"text": "a", "label": "x"}, {"text": "b\nc", "label": "y"}]
    first = 1 if ".jsonl" in name else 2
    assert [record.line for record in records] == [first, first + 1]
    assert [record.where for record in records] == [f"{path}, line {first}", f"{path}, line {first + 1}"]


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("a.jsonl", "no json", "found invalid JSON"),
        ("a.jsonl", "", "found an empty line, expected a JSON object"),
        ("a.jsonl", '{"text": "a", "text": "b"}', 'field "text": is there twice in one object'),
        ("a.jsonl", b'{"text": "\xff"}', "byte 0xff at 10 is not UTF-8"),
        ("a.csv", "a,b,c", 'found 3 cells, expected 2 as in the header; the last are ["c"]'),
        ("a.csv", "a", "found 1 cell, expected 2"),
        ("a.csv", '"a"b,c', "',' expected after '\"'; quote cells as CSV does"),
        ("a.csv", b"\xe9,b", "byte 0xe9 at 0 is not UTF-8"),
    ],
)
def test_a_malformed_record_is_an_error_in_its_place(
    name: str, line: str | bytes, message: str, tmp_path: Path
) -> None:
    data = line if isinstance(line, bytes) else line.encode()
    good = b'{"text": "a", "n": "1"}\n' if name == "a.jsonl" else b"a,1\n"
    head = b"" if name == "a.jsonl" else b"text,n\n"
    path = write(tmp_path, name, head + good + data + b"\n" + good)
    before, bad, after = read_records(path, ["text"])
    assert before.value == after.value == {"text": "a", "n": "1"}
    assert after.line == bad.line + 1 == before.line + 2
    assert isinstance(bad.value, InputError)
    assert str(bad.value).startswith(bad.where)
    assert message in str(bad.value)


def test_an_open_quote_names_the_lines_that_it_took(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 'text,n\na,1\n"b,2\nc,3\n')
    good, bad = read_records(path, ["text"])
    assert good.value == {"text": "a", "n": "1"}
    assert str(bad.value) == (
        f"{path}, line 3: unexpected end of data (read up to line 4); quote cells as CSV does, or pass --quoting none "
        "if quotes are text"
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "text,text\na,b\n", "line 1: found 2 columns named 'text', expected each name once"),
        ("a.csv", "txt\na\n", 'line 1, field "text": is missing, found the columns txt'),
        ("a.csv", "", "is empty, expected a header line with text"),
        ("a.csv.gz", b"no gzip", "is damaged or cut short as gzip"),
        ("a.txt", "a\n", "ends in '.txt', expected .jsonl, .ndjson, .csv or .tsv, each also with .gz or .zst"),
    ],
)
def test_a_file_without_records_is_refused(name: str, content: str | bytes, message: str, tmp_path: Path) -> None:
    path = write(tmp_path, name, content)
    with pytest.raises(InputError) as caught:
        list(read_records(path, ["text"]))
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


def test_the_texts_of_a_record_are_found_by_path(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", '{"chat": [{"content": "hi"}], "reply": "yes"}\n')
    (record,) = read_records(path, ["chat.0.content", "reply"])
    assert read_texts(record.value, ["chat.0.content", "reply"], "pair", record.where) == ("hi", "yes")


@pytest.mark.parametrize(
    "content",
    [
        '",d\r\n2,,\0x,y"\r\n\r\n',  # a column with line ends in its name
        f"{'x' * 70_000},b\n",
        f"text\na,{'x' * 70_000}\n",
        f"text,{'x' * 70_000},{'x' * 70_000}\n",
    ],
)
def test_the_error_of_a_table_is_one_line_whatever_its_cells_are(content: str, tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", content)
    with pytest.raises(InputError) as caught:
        read_rows(path, "text")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1_000
