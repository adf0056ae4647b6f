"""Files of rows: whatever their bytes are, reading gives rows or an InputError, and valid rows come back exactly."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from assay.inputs.files import read_records, read_rows
from assay.inputs.files.names import FileKind, Format
from assay.inputs.files.quoting import Quoting
from assay.inputs.validation import Kind
from tests.fuzz.mutation import FUZZ, attempt, mutated

TABLE = b'id,text,text_pair\r\n1,"a ""b""\nc",d\r\n2,,"x,y"\r\n\r\n'
SEEDS: dict[FileKind, list[bytes]] = {
    "jsonl": [b'{"text": "a\\u00e9", "text_pair": "b", "id": 1e3}\n{"text": "", "text_pair": "c"}\r\n\n'],
    "csv": [TABLE, b"\xef\xbb\xbftext,text_pair,,\na,b,c,\n"],
    "tsv": [TABLE.replace(b",", b"\t"), b'id\ttext\ttext_pair\n1\t"a\tb\n2\tc\td"\n'],
    "txt": [b"a\n\nb \xc3\xa9\r\nc"],
}
KINDS = list(SEEDS)


def check(path: Path, kind: Kind, quoting: Quoting | None) -> list[Any] | None:
    """Read a file in every way; return its rows, or None if it is refused."""
    rows = attempt(lambda: read_rows(path, kind, quoting=quoting))
    if ".txt" not in path.suffixes:
        records = attempt(lambda: list(read_records(path, ["text"], quoting=quoting)))
        assert rows is None or (records is not None and len(records) == len(rows))
    return rows


@pytest.mark.parametrize("kind", KINDS)
@FUZZ
@given(data=st.data())
def test_any_bytes_are_rows_or_an_input_error(kind: FileKind, tmp_path: Path, data: st.DataObject) -> None:
    content = data.draw(mutated(SEEDS[kind]))
    row_kind: Kind = "text" if kind == "txt" else data.draw(st.sampled_from(["text", "pair"]))
    quoting: Quoting | None = data.draw(st.sampled_from([None, "none", "minimal"]))
    path = tmp_path / f"a.{kind}"
    path.write_bytes(content)
    rows = check(path, row_kind, quoting)
    if kind == "tsv" and quoting == "none" and rows is not None:
        lines = content.rstrip(b"\r\n").split(b"\n")
        assert len(rows) == len(lines) - 1  # no quote joins lines


@pytest.mark.parametrize("kind", KINDS)
@FUZZ
@given(data=st.data())
def test_any_compressed_bytes_are_rows_or_an_input_error(kind: FileKind, tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / f"a.{kind}.gz"
    path.write_bytes(data.draw(mutated([gzip.compress(seed, mtime=0) for seed in SEEDS[kind]])))
    check(path, "text", None)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.text(st.sampled_from('ab",\t\r\n'))


@FUZZ
@given(st.lists(st.tuples(texts, texts), max_size=8), st.booleans())
def test_json_lines_come_back_exactly(tmp_path: Path, rows: list[tuple[str, str]], ascii_only: bool) -> None:
    path = tmp_path / "a.jsonl"
    lines = [json.dumps({"text": text, "text_pair": pair}, ensure_ascii=ascii_only) for text, pair in rows]
    path.write_bytes("".join(line + "\n" for line in lines).encode())
    assert read_rows(path, "pair") == rows


@FUZZ
@given(
    st.lists(st.tuples(texts, texts), max_size=8),
    st.sampled_from([("csv", ","), ("tsv", "\t")]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
@example([("\r", "")], ("csv", ","), csv.QUOTE_MINIMAL)
def test_tables_come_back_exactly(
    tmp_path: Path, rows: list[tuple[str, str]], form: tuple[str, str], quoting: Any
) -> None:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=form[1], quoting=quoting).writerows([("text", "text_pair"), *rows])
    path = tmp_path / f"a.{form[0]}"
    path.write_bytes(buffer.getvalue().encode())
    assert read_rows(path, "pair", quoting="minimal") == rows


@FUZZ
@given(st.lists(st.tuples(*[st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\r"))] * 2)))
def test_tables_whose_quotes_are_text_come_back_exactly(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes("".join(f"{text}\t{pair}\n" for text, pair in [("text", "text_pair"), *rows]).encode())
    assert read_rows(path, "pair", quoting="none") == rows


def test_every_seed_has_a_format_that_is_read() -> None:
    assert [Format(kind, "").kind for kind in KINDS] == ["jsonl", "csv", "tsv", "txt"]
