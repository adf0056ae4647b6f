"""Whether quotes in a table are text or quote cells."""

import csv
import io
import os
import sys
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import InputError
from assay.inputs.files import read_records, read_rows
from assay.inputs.files.names import parse_name
from assay.inputs.files.quoting import choose_quoting
from tests.runtime.annotate.rows import pack

GLUE = 'id\ttext\n1\t"Hello there\n2\tworld"\n3\tthird\n'


def write(folder: Path, content: str, name: str = "a.tsv") -> str:
    (folder / name).write_bytes(pack(content.encode(), Path(name).suffix))
    return str(folder / name)


def detect(folder: Path, content: str, name: str = "a.tsv") -> str | None:
    return choose_quoting(write(folder, content, name), parse_name(name, ("csv", "tsv")), None)


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        (GLUE, ['"Hello there', 'world"', "third"]),
        ('id\ttext\n1\t"Hello" he said\n', ['"Hello" he said']),
        ('id\ttext\n1\t"a joy to watch"\n2\tb\n', ['"a joy to watch"', "b"]),
        ('id\ttext\n1\t"never closed\n2\tb\n', ['"never closed', "b"]),
        ('id\ttext\n1\t"a ""b"""\n2\tsaid "c"\n', ['"a ""b"""', 'said "c"']),
        ('id\ttext\r\n1\t"a\r\n', ['"a']),
        ("id\ttext\n1\ta\rb\n", ["a\rb"]),
    ],
)
def test_the_quotes_of_a_tsv_are_text_where_they_are_not_those_of_rfc_4180(
    content: str, texts: list[str], tmp_path: Path
) -> None:
    assert read_rows(write(tmp_path, content), "text") == texts
    assert read_rows(write(tmp_path, content, "a.tsv.gz"), "text") == texts
    assert [record.value for record in read_records(write(tmp_path, content), ["text"])] == [
        {"id": str(number), "text": text} for number, text in enumerate(texts, 1)
    ]


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ('id\ttext\n1\t"a ""b"""\n2\tc\n', ['a "b"', "c"]),
        ('id\ttext\n1\t"a\tb"\n2\tc\n', ["a\tb", "c"]),
        ('id\ttext\n1\t"a\nb"\n2\tc\n', ["a\nb", "c"]),
        ('id\ttext\n1\t"a\n\n\nb"\n2\t"c ""d"""\n', ["a\n\n\nb", 'c "d"']),
        ('"id"\t"text"\n1\t"a"\n2\t"b\n3\tc"\n', ["a", "b\n3\tc"]),
        ('text\n""\na\n', ["", "a"]),
        ('\ufeff"text"\n"a"\n', ["a"]),
    ],
)
def test_the_cells_of_a_tsv_are_quoted_where_all_its_quotes_are_those_of_rfc_4180(
    content: str, texts: list[str], tmp_path: Path
) -> None:
    assert read_rows(write(tmp_path, content), "text") == texts


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ('text\n"a\nb"\nc\n', "lines 2 to 3"),
        ('id\ttext\n1\t"a ""b"""\n2\t"c\n3\td"\n', "lines 3 to 4"),
    ],
)
def test_a_tsv_that_can_be_understood_in_both_ways_is_refused(content: str, lines: str, tmp_path: Path) -> None:
    path = write(tmp_path, content)
    with pytest.raises(InputError, match=f"{lines}: quotes make one row of these lines, .*--quoting none or"):
        read_rows(path, "text")
    assert len(read_rows(path, "text", quoting="none")) == 3
    assert len(read_rows(path, "text", quoting="minimal")) == 2


def test_a_quote_that_is_never_closed_before_many_short_lines_takes_little_memory(tmp_path: Path) -> None:
    content = 'text\n"' + "a\n" * 300_000
    detect(tmp_path, "text\n")  # what the first call imports is not measured
    tracemalloc.start()
    try:
        assert detect(tmp_path, content) == "none"
        assert tracemalloc.get_traced_memory()[1] < 6_000_000  # a list of lines takes 12,000,000
    finally:
        tracemalloc.stop()


def test_the_caller_may_say_what_quotes_are(tmp_path: Path) -> None:
    path = write(tmp_path, GLUE)
    assert read_rows(path, "text", quoting="minimal") == ["Hello there\n2\tworld", "third"]
    path = write(tmp_path, GLUE.replace("\t", ","), "a.csv")
    assert read_rows(path, "text") == ["Hello there\n2,world", "third"]
    assert read_rows(path, "text", quoting="none") == ['"Hello there', 'world"', "third"]
    for wrong in ("all", 1, True, b"none"):
        with pytest.raises(InputError, match=r"quoting is .*, expected 'none' or 'minimal'"):
            read_rows(path, "text", quoting=wrong)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('id,text\n1,"a\n2,b\n', "line 2: unexpected end of data .*read up to line 3.*--quoting none"),
        ('id,text\n1,"a" b\n2,b\n', "line 2: .* expected after .*--quoting none"),
        ('id,text\n1,"a\n2,b" c\n3,d\n', "line 2: .* expected after .*read up to line 3"),
    ],
)
def test_a_csv_whose_quotes_take_lines_against_rfc_4180_is_refused(content: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read_rows(write(tmp_path, content, "a.csv"), "text")


def test_a_tsv_that_can_be_read_only_once_must_not_need_to_know(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(content: str, **options: Any) -> list[Any]:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content.encode())))
        return read_rows("-", "text", format="tsv", **options)

    assert read('id\ttext\n1\ta "b"\n') == ['a "b"']
    with pytest.raises(InputError, match=r"standard input, line 2: a cell starts with a quote, .*--quoting none or"):
        read(GLUE)
    assert len(read(GLUE, quoting="none")) == 3
    assert len(read(GLUE, quoting="minimal")) == 2


def test_a_named_pipe_is_not_read_twice(tmp_path: Path) -> None:
    read, write_end = os.pipe()
    os.write(write_end, b"text\na\n")
    os.close(write_end)
    (tmp_path / "a.tsv").symlink_to(f"/proc/self/fd/{read}")
    assert read_rows(tmp_path / "a.tsv", "text") == ["a"]
    os.close(read)


cells = st.text(st.sampled_from('ab" \t\n\r,é'), max_size=6)


@given(
    st.lists(st.tuples(cells, cells), max_size=6),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from([",", "\t"]),
)
def test_what_the_csv_module_writes_is_read_back_or_refused(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], quoting: Any, delimiter: str
) -> None:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter, quoting=quoting).writerows([("text", "text_pair"), *rows])
    path = tmp_path_factory.getbasetemp() / f"round-trip.{'csv' if delimiter == ',' else 'tsv'}"
    path.write_bytes(buffer.getvalue().encode())
    assert read_rows(path, "pair", quoting="minimal") == rows
    try:
        found = read_rows(path, "pair")
    except InputError:
        return
    # In a TSV, lines that could all be rows are rows.
    assert found == rows or (delimiter == "\t" and found == read_rows(path, "pair", quoting="none"))


def test_the_tsv_files_of_glue_are_read_line_by_line(materials: Path) -> None:
    path = materials / "text" / "qnli_dev.tsv"
    records = list(read_records(path, ["question", "sentence"]))
    lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    assert len(records) == len(lines) - 1
    assert [list(record.value.values()) for record in records if isinstance(record.value, dict)] == [
        line.split("\t") for line in lines[1:]
    ]
