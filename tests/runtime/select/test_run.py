"""Selected rows, in every format."""

import json
import math
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from assay import AssayError, InputError
from assay.select import Summary, select_file
from tests.runtime.annotate import rows

FORMATS = ["jsonl", "jsonl.gz", "jsonl.zst", "csv", "csv.gz", "tsv", "parquet"]

PEAK = """
import sys
from pathlib import Path
from assay.cli.main import main
code = main(sys.argv[1:])
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
sys.exit(code)
"""


def scored(count: int) -> list[dict[str, Any]]:
    """Rows with texts that need quotes, scores with many ties, and a group."""
    chosen = random.Random(1)
    table = rows.pairs(count)
    return [row | {"score": chosen.randint(0, 20) / 4, "topic": chosen.choice(["a", "b,", "ü"])} for row in table]


def expect(table: list[dict[str, Any]], top: int) -> list[int]:
    """The ids of the best rows of every topic, by sorting."""
    best: list[int] = []
    for topic in {row["topic"] for row in table}:
        mine = sorted((row for row in table if row["topic"] == topic), key=lambda row: -row["score"])
        best += [row["id"] for row in mine[:top]]
    return sorted(best)


@pytest.mark.parametrize("name", FORMATS)
def test_the_best_rows_of_each_group_keep_their_order_and_values(tmp_path: Path, name: str) -> None:
    rows.require(name)
    table = scored(300)
    source, target = rows.write(tmp_path / f"in.{name}", table), tmp_path / f"out.{name}"
    summary = select_file(source, target, top=7, group="topic")
    ids = expect(table, 7)
    whole = {str(row["id"]): row for row in rows.read(source)}
    assert [row["id"] for row in rows.read(target)] == [whole[str(number)]["id"] for number in ids]
    assert rows.read(target) == [whole[str(number)] for number in ids]
    assert summary == Summary(rows=300, selected=21, quotas=3, outside=0, skipped=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"in.{name}", f"out.{name}"]


def test_a_chosen_line_keeps_its_bytes(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    lines = [b'{"score": 1.0 , "n":1e400}', b'{"score":-2}', b'{ "score":1, "t": "\\u00e9"}', b'{"score": 1.5}']
    source.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(lines))
    select_file(source, tmp_path / "out.jsonl", top=3)
    assert (tmp_path / "out.jsonl").read_bytes() == lines[0] + b"\r\n" + lines[2] + b"\r\n" + lines[3] + b"\n"


def test_a_table_keeps_its_header_its_mark_and_its_quotes(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_bytes(b'\xef\xbb\xbf"text",score\r\n"a\r\nb",1\r\n"c ""d""",3\r\ne,2')
    select_file(source, tmp_path / "out.csv", top=2)
    assert (tmp_path / "out.csv").read_bytes() == b'\xef\xbb\xbf"text",score\r\n"c ""d""",3\r\ne,2\n'


def test_parquet_keeps_types_and_metadata(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install 'assay[parquet]'")
    import pyarrow.parquet as parquet

    schema = pyarrow.schema(
        [("s", pyarrow.struct([("score", pyarrow.float32())])), ("d", pyarrow.date32())], metadata={"pandas": "x"}
    )
    table = pyarrow.Table.from_pylist([{"s": {"score": n / 2}, "d": n} for n in range(5000)], schema=schema)
    parquet.write_table(table, tmp_path / "in.parquet", row_group_size=700)
    select_file(tmp_path / "in.parquet", tmp_path / "out.parquet", top=3000, by="s.score")
    out = parquet.read_table(tmp_path / "out.parquet")
    assert out.schema.equals(schema, check_metadata=True)
    assert out.equals(table.slice(2000))


def test_bins_and_groups_make_a_quota_each(tmp_path: Path) -> None:
    table = scored(200)
    source = rows.write(tmp_path / "in.jsonl", table)
    summary = select_file(source, tmp_path / "out.jsonl", top=1, group="topic", bins=[1, 2, 4])
    found = [(row["topic"], row["score"]) for row in rows.read(tmp_path / "out.jsonl")]
    assert sorted(found) == [(topic, score) for topic in ("a", "b,", "ü") for score in (1.75, 4.0)]
    assert (summary.quotas, summary.selected) == (6, 6)
    assert summary.outside == sum(not 1 <= row["score"] <= 4 for row in table)


def test_a_row_without_a_score_is_told_or_left_out(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"score": 1}\n{"score": null}\n{"text": 1}\n[]\n{"score": NaN}\n{"score": 2}\n')
    with pytest.raises(InputError, match=r'in.jsonl, line 2, field "score": found None, expected a number'):
        select_file(source, tmp_path / "out.jsonl", top=9)
    assert not (tmp_path / "out.jsonl").exists()
    summary = select_file(source, tmp_path / "out.jsonl", top=9, on_error="skip")
    assert (summary.selected, summary.skipped) == (2, 4)
    assert [row["score"] for row in rows.read(tmp_path / "out.jsonl")] == [1, 2]


@pytest.mark.parametrize("cell", ["", "x", "nan", "-inf", "1_0", "1e999", "0x1"])
def test_a_cell_that_is_no_finite_number_is_told_with_its_line(tmp_path: Path, cell: str) -> None:
    source = tmp_path / "in.csv"
    source.write_text(f"t,score\na, 1.5e0\nb,{cell}\n")
    with pytest.raises(InputError, match=r'in.csv, line 3, field "score": found .* finite number'):
        select_file(source, tmp_path / "out.csv", top=1)


def test_a_malformed_row_of_a_table_is_never_chosen(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("t,score\na,1,9\nb,0\n")
    select_file(source, tmp_path / "out.csv", top=2, on_error="skip")
    assert (tmp_path / "out.csv").read_text() == "t,score\nb,0\n"


def test_an_input_where_no_row_has_the_column_is_refused(tmp_path: Path) -> None:
    source = rows.write(tmp_path / "in.jsonl", [{"a": 1}, {"a": 2}])
    with pytest.raises(InputError, match=r'no row has a score .* line 1, field "score": is missing, found a'):
        select_file(source, tmp_path / "out.jsonl", top=1, on_error="skip")
    for name in ("in.csv", "in.parquet"):
        rows.require(name)
        table = rows.write(tmp_path / name, [{"a": 1}])
        with pytest.raises(InputError, match=r'field "score": is missing, found the columns a'):
            select_file(table, tmp_path / name.replace("in", "out"), top=1)


def test_an_output_that_exists_is_replaced_only_with_force(tmp_path: Path) -> None:
    source = rows.write(tmp_path / "in.jsonl", [{"score": 1}])
    target = tmp_path / "out.jsonl"
    target.write_text("precious")
    with pytest.raises(InputError, match="exists already"):
        select_file(source, target, top=1)
    assert target.read_text() == "precious"
    select_file(source, target, top=1, force=True)
    assert rows.read(target) == [{"score": 1}]
    with pytest.raises(InputError, match="is the input"):
        select_file(source, source, top=1, force=True)


def test_a_failure_leaves_the_old_output_and_no_other_file(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text('t,score\na,1\n"b,2\n')
    target = tmp_path / "out.csv"
    target.write_text("old")
    with pytest.raises(InputError, match="line 3"):
        select_file(source, target, top=1, force=True)
    with pytest.raises(AssayError, match="cannot be written"):
        select_file(rows.write(tmp_path / "b.jsonl", [{"score": 1}]), tmp_path / "none" / "x.jsonl", top=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.jsonl", "in.csv", "out.csv"]
    assert target.read_text() == "old"


def command(*words: object, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "assay", "select", *map(str, words)]
    return subprocess.run(line, input=stdin, capture_output=True, text=True, check=False)


def test_the_command_reads_standard_input_and_says_what_it_did() -> None:
    lines = "".join(json.dumps({"label": "ab"[n % 2], "score": n}) + "\n" for n in range(10)) + '{"label": "a"}\n'
    done = command("-", "-o", "-", "--top", "2", "--per-label", "--bins", "0,4,8", "--on-error", "skip", stdin=lines)
    assert [json.loads(line)["score"] for line in done.stdout.splitlines()] == [0, 1, 2, 3, 5, 6, 7, 8]
    assert done.returncode == 3
    assert done.stderr == "assay: -: 8 of 11 rows, 4 quotas with rows, 1 outside the bins, 1 without a score\n"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--top", "0"], 1, "top is 0, expected the number of rows to keep"),
        (["--top", "x"], 2, "invalid int value"),
        (["--top", "1", "--bins", "0;1"], 2, "found --bins '0;1', expected numbers with commas"),
        (["--top", "1", "--group", "a", "--per-label"], 2, "not allowed with"),
        (["--top", "1", "--per-label"], 1, 'standard input, line 1, field "label": is missing, found score'),
        ([], 2, "required: --top"),
    ],
)
def test_wrong_usage_is_one_line(words: list[str], code: int, message: str) -> None:
    done = command("-", "-o", "-", *words, stdin='{"score": 1}\n')
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1)
    assert message in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is of Linux")
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    peaks = []
    for count in (1_000, 40_000):
        table = [{"score": math.sin(row), "x": f"{row:0900}"} for row in range(count)]
        source = rows.write(tmp_path / f"{count}.jsonl", table)
        words = ["select", source, "-o", tmp_path / f"out.{count}.jsonl", "--top", "500"]
        done = subprocess.run(
            [sys.executable, "-c", PEAK, *map(str, words)], capture_output=True, text=True, check=True
        )
        peaks.append(int(done.stdout) / 1024)
    assert peaks[1] - peaks[0] < 6, peaks  # the larger file has 36 MB
