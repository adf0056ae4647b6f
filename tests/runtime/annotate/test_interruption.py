"""Runs that are ended at any point, and go on to the same bytes."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.runtime.annotate import rows
from tests.runtime.annotate.rows import require

CRASH = Path(__file__).with_name("crash.py")
NAMES = ["jsonl", "csv", "jsonl.gz", "csv.zst", "parquet"]

# Small windows, each of which is committed, and time in between for a signal to come.
SLOWLY = """
import sys, time
import assay.annotate.output.file, assay.annotate.windows
from assay.cli.main import main
assay.annotate.windows.ROWS = 20
assay.annotate.output.file.SECONDS_BETWEEN_COMMITS = 0.0
append = assay.annotate.output.file.FileOutput.append
def slow(self, *args, **options):
    append(self, *args, **options)
    time.sleep(0.02)
assay.annotate.output.file.FileOutput.append = slow
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("name", ["jsonl", "csv.zst", "parquet"])  # without and with a last step that joins windows
def test_a_run_killed_at_any_step_goes_on_to_the_same_bytes(pair_bundle: Path, tmp_path: Path, name: str) -> None:
    require(name)
    source = rows.write(tmp_path / f"in.{name}", rows.pairs(70))
    (tmp_path / "out").mkdir()
    command = [sys.executable, CRASH, pair_bundle, source, tmp_path / "out" / f"a.{name}", tmp_path / f"b.{name}"]
    done = subprocess.run([*map(str, command), "--threads", "1"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    assert int(done.stdout) >= 12
    assert len(rows.read(tmp_path / f"b.{name}")) == 70


def test_a_run_of_int8_killed_at_any_step_goes_on_to_the_same_bytes(int8_pair_bundle: Path, tmp_path: Path) -> None:
    source = rows.write(tmp_path / "in.jsonl", rows.pairs(45))
    (tmp_path / "out").mkdir()
    command = [sys.executable, CRASH, int8_pair_bundle, source, tmp_path / "out/a.jsonl", tmp_path / "b.jsonl"]
    done = subprocess.run([*map(str, command), "--threads", "2"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    assert len(rows.read(tmp_path / "b.jsonl")) == 45


@pytest.mark.parametrize("name", NAMES)
def test_kill_9_at_random_moments_loses_no_row(pair_bundle: Path, tmp_path: Path, name: str) -> None:
    require(name)
    source = rows.write(tmp_path / f"in.{name}", rows.pairs(800))
    target, reference = tmp_path / f"a.{name}", tmp_path / f"b.{name}"
    command = [sys.executable, "-c", SLOWLY, "annotate", str(pair_bundle), str(source), "--threads", "1"]
    subprocess.run([*command, "-o", str(reference)], check=True, capture_output=True)
    delays = random.Random(name)
    kills = 0
    while not target.exists():
        process = subprocess.Popen([*command, "-o", str(target), "--resume"], stderr=subprocess.PIPE)
        try:
            process.communicate(timeout=delays.uniform(0.2, 1.0) * (1 + kills / 10))  # also on a busy machine
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
        else:
            assert process.returncode == 0
        assert kills < 60
    assert kills > 0
    assert target.read_bytes() == reference.read_bytes()
    assert [name for name in rows.hidden(tmp_path) if "lock" not in name] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_with_one_line_that_says_how_to_go_on(
    pair_bundle: Path, tmp_path: Path, number: signal.Signals
) -> None:
    source = rows.write(tmp_path / "in.jsonl", rows.pairs(2_000))
    target = tmp_path / "out.jsonl"
    command = [sys.executable, "-c", SLOWLY, "annotate", str(pair_bundle), str(source), "--threads", "1"]
    process = subprocess.Popen([*command, "-o", str(target)], stderr=subprocess.PIPE, text=True)
    wait_for_size(tmp_path / ".out.jsonl.partial", 1)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.count("\n") == 1
    assert errors.startswith(f"assay: {target}: interrupted; ")
    assert errors.endswith("rows are kept, go on with --resume\n")
    assert not target.exists()
    assert rows.hidden(tmp_path) == [".out.jsonl.journal", ".out.jsonl.partial"]
    assert (tmp_path / ".out.jsonl.partial").read_bytes().endswith(b"\n")

    refused = subprocess.run([*command, "-o", str(target)], capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "rows; go on with --resume, or start over with --force" in refused.stderr
    subprocess.run([*command, "-o", str(target), "--resume"], check=True, capture_output=True)
    assert [row["id"] for row in rows.read(target)] == list(range(2_000))


def test_a_second_process_that_writes_the_same_output_is_refused(pair_bundle: Path, tmp_path: Path) -> None:
    source = rows.write(tmp_path / "in.jsonl", rows.pairs(2_000))
    command = [sys.executable, "-c", SLOWLY, "annotate", str(pair_bundle), str(source), "-o", str(tmp_path / "o.jsonl")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    wait_for_size(tmp_path / ".o.jsonl.partial", 1)
    for option in ("--resume", "--force"):
        second = subprocess.run([*command, option], capture_output=True, text=True, check=False)
        assert second.returncode == 1
        assert "o.jsonl: another process is writing it" in second.stderr
    process.terminate()
    assert process.wait(60) == 130


def test_a_full_disk_is_one_line_and_the_run_goes_on_when_there_is_room(pair_bundle: Path, tmp_path: Path) -> None:
    source = rows.write(tmp_path / "in.jsonl", rows.pairs(1_000))
    target, reference = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))\n" + SLOWLY
    command = ["annotate", str(pair_bundle), str(source), "--threads", "1"]
    subprocess.run([sys.executable, "-c", SLOWLY, *command, "-o", str(reference)], check=True, capture_output=True)
    assert reference.stat().st_size > 60_000
    # The limit would also stop coverage from writing its file.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    words = [sys.executable, "-c", limited, *command, "-o", str(target)]
    full = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    assert full.returncode == 1
    assert full.stderr.count("\n") == 1
    assert f"{target}: cannot be written" in full.stderr
    assert "rows are kept: fix the cause, then go on with --resume" in full.stderr
    assert not target.exists()
    resumed = [sys.executable, "-c", SLOWLY, *command, "-o", str(target), "--resume"]
    subprocess.run(resumed, check=True, capture_output=True)
    assert target.read_bytes() == reference.read_bytes()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is of Linux")  # noqa: PTH110
def test_a_full_standard_output_is_a_failure(pair_bundle: Path, tmp_path: Path) -> None:
    source = rows.write(tmp_path / "in.jsonl", rows.pairs(10))
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "assay", "annotate", str(pair_bundle), str(source), "-o", "-"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr


def wait_for_size(path: Path, least: int) -> None:
    deadline = time.monotonic() + 60
    while not path.exists() or path.stat().st_size < least:
        assert time.monotonic() < deadline
        time.sleep(0.01)
