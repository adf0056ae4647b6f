"""`assay export` as a user runs it: in a process of its own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import assay
from tests.conftest import CHECKPOINTS


def assay_export(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "assay", "export", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_an_export_ends_with_a_summary_that_names_files_parity_and_the_next_command(tmp_path: Path) -> None:
    done = assay_export(CHECKPOINTS / "complexity-adapter", "--out", tmp_path / "bundle")
    assert done.returncode == 0, done.stderr
    for said in ("onnx/model_cpu.onnx", "fp32, portable", "fp32, cpu", "merged into ../complexity-base", "assay score"):
        assert said in done.stdout
    assert 1 <= assay.load(tmp_path / "bundle").evol_complexity("Write a poem.") <= 6


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["no/such/folder/anywhere", "--out", "x"], 1, "is not a folder here"),
        ([CHECKPOINTS / "complexity-base", "--out", "x"], 1, "would be random"),
        ([CHECKPOINTS / "pair-classifier"], 2, "--out"),
        ([CHECKPOINTS / "pair-classifier", "--out", "x", "--labels", "a,b"], 1, "2 labels are named"),
        ([CHECKPOINTS / "pair-classifier", "--out", "x", "--revision", "main"], 1, "drop --revision"),
    ],
)
def test_a_failed_export_is_one_line_and_a_code(
    arguments: list[object], code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = assay_export(*arguments)
    assert done.returncode == code
    last = done.stderr.rstrip().splitlines()[-1]
    assert said in last
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_export_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "assay", "export", str(CHECKPOINTS / "pair-classifier"), "--out", "bundle"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        deadline = time.monotonic() + 120
        while not list(tmp_path.iterdir()) and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.02)
        started = list(tmp_path.iterdir())
        os.kill(process.pid, number)
        code = process.wait(timeout=60)
    assert [path.name.startswith(".bundle.partial-") for path in started] == [True]
    assert code == 130
    assert list(tmp_path.iterdir()) == []
