"""assay annotate, as a user runs it."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from assay import Scorer
from tests.ended import ended
from tests.runtime.annotate import rows

# VmHWM and not ru_maxrss, which a child inherits from the process that started it. A row group of Parquet is held at
# once, so that there it takes many small ones to see what grows with the file.
PEAK = """
import sys
from pathlib import Path
import assay.annotate.formats.parquet
from assay.cli.main import main
assay.annotate.formats.parquet.ROWS_PER_GROUP = 2_048
code = main(sys.argv[1:])
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
sys.exit(code)
"""


def annotate(*words: object, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "assay", "annotate", *map(str, words)]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)


def test_a_run_ends_with_one_line_on_standard_error(pair_bundle: Path, tmp_path: Path) -> None:
    source = rows.write(tmp_path / "in.jsonl", rows.pairs(30))
    done = annotate(pair_bundle, source, "-o", tmp_path / "out.csv.gz".replace("csv", "jsonl"))
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("assay: 30 rows, ")
    assert "rows/s" in done.stderr
    assert done.stderr.endswith("out.jsonl.gz: 30 rows\n")


def test_rows_that_failed_are_counted_and_make_the_exit_code_3(score_bundle: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("text\na\nnan\n" + "a " * 40 + "\n")
    done = annotate(score_bundle, source, "-o", tmp_path / "out.csv", "--on-error", "null")
    assert done.returncode == 3
    assert "out.csv: 3 rows, 2 failed (see the column 'error')" in done.stderr
    assert [bool(row["error"]) for row in rows.read(tmp_path / "out.csv")] == [False, True, True]


def test_rows_come_from_standard_input_and_go_to_standard_output(score_bundle: Path, scorer: Scorer) -> None:
    lines = "".join(json.dumps({"q": {"t": text}}) + "\n" for text in ["a", "é", ""])
    options = ["--text", "q.t", "--scale", "0", "100", "--columns", "score,evol_complexity", "--threads", "1"]
    done = annotate(score_bundle, "-", "-o", "-", *options, stdin=lines)
    assert done.returncode == 0
    out = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["q"]["t"] for row in out] == ["a", "é", ""]
    expected = scorer.score_batch(["a", "é", ""], scale=(0, 100)).tolist()
    assert [row["score"] for row in out] == pytest.approx(expected)
    assert [row["evol_complexity"] for row in out] == scorer.evol_complexity_batch(["a", "é", ""]).tolist()


def test_two_shards_interleave_with_paste(pair_bundle: Path, tmp_path: Path) -> None:
    source = rows.write(tmp_path / "in.jsonl", rows.pairs(31))
    for index in (1, 2):
        assert annotate(pair_bundle, source, "-o", tmp_path / f"{index}.jsonl", "--shard", f"{index}/2").returncode == 0
    merge = f"paste -d '\\n' {tmp_path}/1.jsonl {tmp_path}/2.jsonl | grep -v '^$'"
    merged = subprocess.run(["sh", "-c", merge], capture_output=True, text=True, check=True).stdout
    assert [json.loads(line)["id"] for line in merged.splitlines()] == list(range(31))


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--pair", "a", "b"], 2, "found --pair, expected --text: this bundle reads one text"),
        (
            ["--columns", "label"],
            1,
            "found 'label', expected of this regression bundle score, evol_complexity",
        ),
        (["--columns", ""], 1, "columns: found ''"),
        (["--shard", "0/3"], 1, "shard is '0/3'"),
        (["--scale", "1", "0"], 1, "scale is (1.0, 0.0)"),
        (["--text", "q"], 1, 'line 1, field "q": is missing, found id, text, text_pair'),
        (["--on-error", "skip"], 2, "invalid choice: 'skip'"),
        (["--variant", "int8"], 1, "has no variant int8"),
    ],
)
def test_wrong_options_are_one_line_and_leave_nothing(
    score_bundle: Path, tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    source = rows.write(tmp_path / "in.jsonl", rows.pairs(3))
    done = annotate(score_bundle, source, "-o", tmp_path / "out.jsonl", *words)
    assert done.returncode == code
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_resume_needs_files(score_bundle: Path, tmp_path: Path) -> None:
    source = rows.write(tmp_path / "in.jsonl", rows.pairs(3))
    for words in ([source, "-o", "-"], ["-", "-o", tmp_path / "out.jsonl"]):
        done = annotate(score_bundle, *words, "--resume", stdin="")
        assert done.returncode == 1
        assert "--resume needs files" in done.stderr


def test_a_text_option_for_a_bundle_of_pairs_is_wrong_usage(pair_bundle: Path, tmp_path: Path) -> None:
    done = annotate(pair_bundle, tmp_path / "in.jsonl", "-o", "-", "--text", "a")
    assert done.returncode == 2
    assert "found --text, expected --pair: this bundle reads pairs" in done.stderr


def test_a_reader_that_goes_away_ends_the_command_quietly(pair_bundle: Path, tmp_path: Path) -> None:
    source = rows.write(tmp_path / "in.jsonl", rows.pairs(20_000))
    command = f"{sys.executable} -m assay annotate {pair_bundle} {source} -o - | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (141, "")
    assert done.stdout.count("\n") == 1


def test_a_reader_that_goes_away_ends_the_command_even_if_more_input_may_arrive(pair_bundle: Path) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in rows.pairs(1_500)).encode()
    command = [sys.executable, "-m", "assay", "annotate", str(pair_bundle), "-", "-o", "-"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process, ended(process):
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(lines)
        process.stdin.flush()
        assert process.stdout.readline().startswith(b'{"id": 0')
        process.stdout.close()
        with contextlib.suppress(BrokenPipeError):  # the command may have noticed already
            process.stdin.write(lines)
            process.stdin.flush()  # standard input stays open: a thread waits for the next line
        assert process.wait(60) == 141
        assert process.stderr.read() == b""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is of Linux")
@pytest.mark.parametrize("name", ["jsonl", "csv.gz", "jsonl.zst", "parquet"])
def test_memory_does_not_grow_with_the_file(pair_bundle: Path, tmp_path: Path, name: str) -> None:
    if "parquet" in name:
        pytest.importorskip("pyarrow")
    if "zst" in name:
        pytest.importorskip("zstandard")
    peaks = []
    for count in (4_000, 40_000):
        table = [{"text": "what causes rain", "text_pair": "a b c", "x": f"{row:0500}"} for row in range(count)]
        source = rows.write(tmp_path / f"{count}.{name}", table)
        command = [sys.executable, "-c", PEAK, "annotate", pair_bundle, source, "-o", tmp_path / f"out.{count}.{name}"]
        done = subprocess.run([*map(str, command), "--threads", "1"], capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout) / 1024)
    # The larger file has 18 MB more in its longest column alone.
    assert peaks[1] - peaks[0] < 15, peaks
