"""CSV and TSV through annotate_file."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import Classifier, InputError, NumericalError, Scorer
from assay.annotate import annotate_file
from tests.runtime.annotate import rows


def annotated(model: Classifier | Scorer, folder: Path, data: bytes | str, name: str = "in.csv", **options: Any) -> str:
    source, target = folder / name, folder / f"out{Path(name).suffix}"
    source.write_bytes(data if isinstance(data, bytes) else data.encode())
    annotate_file(model, source, target, force=True, **options)
    return target.read_bytes().decode()


def test_rows_keep_their_quotes_line_ends_and_empty_cells(scorer: Scorer, tmp_path: Path) -> None:
    data = '"id",text,x\r\n1,"a, ""b""\nc",\r\n2,a,""'
    out = annotated(scorer, tmp_path, data)
    first, second = scorer.score_batch(['a, "b"\nc', "a"]).tolist()
    assert out == f'"id",text,x,score\r\n1,"a, ""b""\nc",,{first!r}\r\n2,a,"",{second!r}\r\n'


def test_scores_are_a_column_per_label(judge: Classifier, tmp_path: Path) -> None:
    out = annotated(judge, tmp_path, "text,text_pair\na,b\n", columns=["label", "scores"])
    prediction = judge.predict("a", "b")
    (row,) = csv.DictReader(io.StringIO(out))
    assert row["label"] == prediction.label
    assert {label: float(row[f"scores.{label}"]) for label in judge.labels} == prediction.scores


def test_a_byte_order_mark_stays_in_front_of_the_header(scorer: Scorer, tmp_path: Path) -> None:
    assert annotated(scorer, tmp_path, b"\xef\xbb\xbftext\na\n").startswith("\ufefftext,score\n")


def test_tab_separated_values_stay_tab_separated_or_become_comma_separated(scorer: Scorer, tmp_path: Path) -> None:
    out = annotated(scorer, tmp_path, "text\tx\na\t1,5\n", "in.tsv")
    score = scorer.score("a")
    assert out == f"text\tx\tscore\na\t1,5\t{score!r}\n"
    annotate_file(scorer, tmp_path / "in.tsv", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == f'text,x,score\na,"1,5",{score!r}\n'


def test_a_table_becomes_json_lines_and_parquet_of_strings(scorer: Scorer, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    source = rows.write(tmp_path / "in.csv", [{"id": number, "text": text} for number, text in enumerate("abc")])
    for name in ("out.jsonl", "out.parquet"):
        annotate_file(scorer, source, tmp_path / name, columns=["score", "evol_complexity"])
        assert rows.read(tmp_path / name) == [
            {
                "id": str(number),
                "text": text,
                "score": scorer.score(text),
                "evol_complexity": scorer.evol_complexity(text),
            }
            for number, text in enumerate("abc")
        ]


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), max_size=6))
def test_every_table_that_python_writes_comes_back_with_its_cells(
    scorer: Scorer, tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[str, str]]
) -> None:
    buffer = io.StringIO()
    csv.writer(buffer).writerows([("text", "x"), *cells])
    try:
        data = buffer.getvalue().encode()
    except UnicodeEncodeError:
        return
    folder = tmp_path_factory.mktemp("table")
    out = annotated(scorer, folder, data, on_error="null")
    read = list(csv.reader(io.StringIO(out, newline="")))
    assert [tuple(row[:2]) for row in read[1:]] == cells
    assert {len(row) for row in read} == {4}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "in.csv: is empty, expected a header line with text and text_pair"),
        ("\n\r\n", "in.csv: is empty, expected a header line with text and text_pair"),
        ("text,x\n", 'in.csv, line 1, field "text_pair": is missing, found the columns text, x'),
        ("text,text_pair,x,x\n", "in.csv, line 1: found 2 columns named 'x', expected each name once"),
        ("text,text_pair,score\n", 'in.csv, line 1, field "score": is there already'),
        ('text,text_pair\na,"b\n', "in.csv, line 2: unexpected end of data"),
        ('text,text_pair\na,"b"c\n', "in.csv, line 2: ',' expected after '\"'"),
        (b"text,text_pair,\xff\n", "in.csv, line 1: byte 0xff at 15 is not UTF-8"),
    ],
)
def test_a_malformed_table_is_refused_even_where_rows_may_fail(
    judge: Classifier, tmp_path: Path, data: str | bytes, message: str
) -> None:
    for on_error in ("raise", "null"):
        with pytest.raises(InputError) as caught:
            annotated(judge, tmp_path, data, on_error=on_error)
        assert message in str(caught.value)
        assert rows.hidden(tmp_path) == []


@pytest.mark.parametrize(
    ("record", "message", "cells"),
    [
        (b"a", "line 3: found 1 cell, expected 2 as in the header", ["a", ""]),
        (b"", "line 3: found 0 cells, expected 2", ["", ""]),
        (b"a,b,c,d", 'line 3: found 4 cells, expected 2 as in the header; the last are ["c", "d"]', ["a", "b"]),
        (b"a\xff,b", "line 3: byte 0xff at 1 is not UTF-8", ["a\\xff", "b"]),
        (b"nan,b", 'line 3, field "text" and "text_pair": the text has the logits', ["nan", "b"]),
    ],
)
def test_a_row_without_an_answer_names_its_line_or_keeps_its_place(
    judge: Classifier, tmp_path: Path, record: bytes, message: str, cells: list[str]
) -> None:
    data = b"text,text_pair\na,b\n" + record + b'\n"x\ny",z\n'
    with pytest.raises((InputError, NumericalError)) as caught:
        annotated(judge, tmp_path, data)
    assert f"in.csv, {message}" in str(caught.value)
    read = list(csv.reader(io.StringIO(annotated(judge, tmp_path, data, on_error="null"), newline="")))
    assert read[0] == ["text", "text_pair", "label", "score", "error"]
    assert read[2][:4] == [*cells, "", ""]
    assert f"in.csv, {message}" in read[2][4]
    assert [row[4] for row in (read[1], read[3])] == ["", ""]
    assert len(read) == 4


def test_a_cell_larger_than_a_text_may_be_is_refused(scorer: Scorer, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"in.csv, line 2.*(1,000,002 characters|field limit)"):
        annotated(scorer, tmp_path, "text\n" + "x" * 1_000_002 + "\n")


@pytest.mark.parametrize("target", ["out.csv", "out.jsonl"])
@pytest.mark.parametrize("name", ["scores", "scores.NOADDR_ON"])
def test_a_column_of_the_same_name_is_refused_whatever_the_output_is(
    judge: Classifier, tmp_path: Path, name: str, target: str
) -> None:
    (tmp_path / "in.csv").write_text(f"text,text_pair,{name}\na,b,mine\n")
    with pytest.raises(InputError, match=f'line 1, field "{name}": is there already'):
        annotate_file(judge, tmp_path / "in.csv", tmp_path / target, columns=["scores"])


@pytest.mark.parametrize("data", [b"\ntext\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n"])
def test_the_error_of_an_empty_header_says_that_it_has_no_columns(scorer: Scorer, tmp_path: Path, data: bytes) -> None:
    with pytest.raises(InputError, match=r'in.csv, line 1, field "text": is missing, found no columns'):
        annotated(scorer, tmp_path, data)


@pytest.mark.parametrize(("data", "end"), [("text\na\r\r\nb\r\n", "\r\n"), ('text\na\n"b\n"\r', "\n")])
def test_carriage_returns_after_the_last_cell_come_after_the_new_ones(
    scorer: Scorer, tmp_path: Path, data: str, end: str
) -> None:
    out = annotated(scorer, tmp_path, data)
    assert [len(row) for row in csv.reader(io.StringIO(out, newline=""), strict=True)] == [2, 2, 2]
    assert out.startswith(f"text,score\na,{scorer.score('a')!r}{end}")


@pytest.mark.parametrize("cell", ["a\nb", "a\rb", "a\r\nb", "\n", "a\t,b\n"])
@pytest.mark.parametrize("target", ["out.csv", "out.tsv"])
def test_line_ends_in_cells_are_quoted_where_a_row_is_written_anew(
    scorer: Scorer, tmp_path: Path, cell: str, target: str
) -> None:
    (tmp_path / "in.csv").write_bytes(f'text,x\n"{cell}",1\n"{cell}"\n'.encode())
    annotate_file(scorer, tmp_path / "in.csv", tmp_path / target, on_error="null")
    text = (tmp_path / target).read_bytes().decode()
    out = list(csv.reader(io.StringIO(text, newline=""), delimiter="," if target == "out.csv" else "\t", strict=True))
    assert [row[:2] for row in out] == [["text", "x"], [cell, "1"], [cell, ""]]
    assert {len(row) for row in out} == {4}


def test_a_tsv_whose_quotes_are_text_keeps_them_and_its_lines(judge: Classifier, tmp_path: Path) -> None:
    data = 'text\ttext_pair\r\n"a\tb\r\nc\t"d\r\n"nan\t\n"x"\n\n'
    out = annotated(judge, tmp_path, data, "in.tsv", on_error="null", columns=["label"])
    head, first, second, failed, short = out.removesuffix("\r\n").replace("\r\n", "\n").split("\n")
    assert head == "text\ttext_pair\tlabel\terror"
    assert first == f'"a\tb\t{judge.predict(chr(34) + "a", "b").label}\t'
    assert second == f'c\t"d\t{judge.predict("c", chr(34) + "d").label}\t'
    assert failed.startswith('"nan\t\t\t')
    assert short.startswith('"x"\t\t\t')
    assert "in.tsv, line 5: found 1 cell, expected 2" in short
    for target in ("out.csv", "out.jsonl"):
        annotate_file(judge, tmp_path / "in.tsv", tmp_path / target, on_error="null")
        assert [row["text"] for row in rows.read(tmp_path / target)] == ['"a', "c", '"nan', '"x"']


def test_a_csv_whose_quotes_are_text_is_written_with_quoted_cells(scorer: Scorer, tmp_path: Path) -> None:
    out = annotated(scorer, tmp_path, 'text,x\n"a,"b"\nc,d\n', quoting="none")
    assert [row[:2] for row in csv.reader(io.StringIO(out), strict=True)] == [["text", "x"], ['"a', '"b"'], ["c", "d"]]


def test_columns_without_a_name_stay_so_in_a_table_and_get_one_elsewhere(scorer: Scorer, tmp_path: Path) -> None:
    data = "text,a,,\r\na,1,2,\r\n\r\n"
    assert annotated(scorer, tmp_path, data) == f"text,a,,,score\r\na,1,2,,{scorer.score('a')!r}\r\n"
    annotate_file(scorer, tmp_path / "in.csv", tmp_path / "out.jsonl")
    (row,) = rows.read(tmp_path / "out.jsonl")
    assert row == {"text": "a", "a": "1", "column_3": "2", "column_4": "", "score": pytest.approx(scorer.score("a"))}


def test_a_run_goes_on_only_if_quotes_mean_what_they_meant(scorer: Scorer, tmp_path: Path) -> None:
    source = rows.write(tmp_path / "in.csv", [{"id": number, "text": "a"} for number in range(3000)])
    source.write_text(source.read_text() + "x\n")
    with pytest.raises(InputError, match="rows are kept"):
        annotate_file(scorer, source, tmp_path / "out.csv")
    with pytest.raises(InputError, match='quoting was "minimal", is "none"'):
        annotate_file(scorer, source, tmp_path / "out.csv", resume=True, quoting="none")
