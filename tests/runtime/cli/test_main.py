"""How the command line ends: exit codes, errors, interrupts, output that cannot be written."""

import os
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from assay.cli.commands import info
from tests.ended import ended
from tests.runtime import tiny
from tests.runtime.cli.running import run, start_process


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "required: COMMAND"),
        (["--debug", "predict", "PAIR"], "see assay predict --help"),
        (["prdict"], "invalid choice"),
        (["predict"], "required: BUNDLE"),
        (["predict", "PAIR"], "neither TEXT nor --file"),
        (["predict", "PAIR", "a"], "found 1 text, expected two"),
        (["predict", "PAIR", "a", "b", "c"], "found 3 texts"),
        (["predict", "PAIR", "a", "b", "--file", "x.jsonl"], "TEXT and --file"),
        (["predict", "PAIR", "a", "b", "--thread", "1"], "unrecognized arguments"),
        (["predict", "PAIR", "a", "b", "--threads", "0"], "at least 1"),
        (["predict", "PAIR", "a", "b", "--threads", "two"], "at least 1"),
        (["score", "SCORE", "a", "--scale", "1"], "expected 2 arguments"),
        (["score", "SCORE", "a", "--scale", "a", "b"], "invalid float"),
        (["score", "SCORE", "a", "--scale", "1", "6", "--evol"], "not allowed with"),
        (["info"], "required: BUNDLE"),
        (["warmup", "PAIR"], "required: --device"),
        (["warmup", "PAIR", "--device", "tensorrt", "--up-to", "0"], "at least 1"),
        (["warmup", "PAIR", "--device", "tensorrt", "--up-to", "17"], "the model reads 16"),
        (["info", "PAIR", "more"], "unrecognized arguments"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    words: list[str], message: str, pair_bundle: Path, score_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"PAIR": pair_bundle, "SCORE": score_bundle}
    code, out, err = run(*(places.get(word, word) for word in words), capsys=capsys)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("assay: error: ")
    assert message in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "NONE", "a", "b"], "no such folder"),
        (["info", "NONE"], "no such folder"),
        (["verify", "NONE"], "no such folder"),
        (["predict", "SCORE", "a"], "use assay score"),
        (["score", "PAIR", "a"], "use assay predict"),
        (["predict", "PAIR", "a", "b", "--device", "gpu"], "device is 'gpu'"),
        (["predict", "PAIR", "a", "b", "--device", "cuda"], "CUDAExecutionProvider"),
        (["predict", "PAIR", "a", "b", "--variant", "int8"], "has no variant int8"),
        (["verify", "PAIR", "--device", "auto"], "device is 'auto'"),
        (["warmup", "PAIR", "--device", "cuda"], "other devices build nothing ahead"),
        (["warmup", "PAIR", "--device", "tensorrt", "--variant", "fp16"], "has no variant fp16"),
        (["predict", "PAIR", "a\udcff", "b"], "lone surrogate"),
        (["predict", "PAIR", "nan", "b"], "row 0 has the logits"),
        (["score", "SCORE", "a", "--scale", "6", "1"], "scale is"),
        (["score", "SCORE", "a", "--scale", "nan", "1"], "scale is"),
        (["predict", "PAIR", "--file", "NONE"], "ends in"),
        (["predict", "PAIR", "--file", "none.jsonl"], "cannot be read"),
    ],
)
def test_a_failure_is_one_line_and_exit_code_1(
    words: list[str], message: str, pair_bundle: Path, score_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"PAIR": pair_bundle, "SCORE": score_bundle, "NONE": "nowhere"}
    code, out, err = run(*(places.get(word, word) for word in words), capsys=capsys)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("assay: error: ")
    assert message in err


@pytest.mark.parametrize("words", [["--debug", "info", "nowhere"], ["info", "nowhere", "--debug"]])
def test_debug_shows_the_traceback_before_the_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(*words, capsys=capsys)
    assert code == 1
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("assay: error: nowhere: no such folder")


def test_a_defect_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(_: object) -> int:
        raise ZeroDivisionError("a\nb")

    monkeypatch.setattr(info, "run", broken)
    code, _, err = run("info", "x", capsys=capsys)
    assert (code, err.count("\n")) == (1, 1)
    assert "ZeroDivisionError: a b (a defect of assay" in err


def test_a_real_interrupt_is_quiet(pair_bundle: Path, tmp_path: Path) -> None:
    fifo = tmp_path / "rows.jsonl"
    os.mkfifo(fifo)
    command = [sys.executable, "-m", "assay", "predict", str(pair_bundle), "--file", str(fifo)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with ended(child), fifo.open("w"):  # opens once the command waits for its rows
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    assert (child.returncode, out, err) == (130, b"", b"")


def test_the_version_is_that_of_the_installed_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version", capsys=capsys) == (0, f"assay {version('assay')}\n", "")
    assert start_process("--version").stdout == f"assay {version('assay')}\n"


@pytest.mark.parametrize(
    ("words", "unbuffered"),
    [(["info", "BUNDLE"], ""), (["info", "BUNDLE"], "1"), (["--help"], ""), (["--version"], "")],
)
def test_a_reader_that_goes_away_ends_the_command_quietly(words: list[str], unbuffered: str, pair_bundle: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    words = [str(pair_bundle) if word == "BUNDLE" else word for word in words]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    done = start_process(*words, capture_output=False, stdout=write, stderr=subprocess.PIPE, env=environment)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_closed_standard_output_is_a_failure(pair_bundle: Path) -> None:
    command = f"exec {sys.executable} -m assay info {pair_bundle} >&-"
    done = subprocess.run(command, shell=True, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "standard output is closed" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_one_line(pair_bundle: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = start_process("info", pair_bundle, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr.startswith("assay: error: [Errno 28]")
    assert done.stderr.count("\n") == 1


def test_output_that_the_terminal_cannot_encode_is_escaped(tmp_path: Path) -> None:
    folder = tiny.write(tmp_path / "labels", labels=["ü", "字", "c"])
    done = start_process("info", folder, env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert (done.returncode, done.stderr) == (0, "")
    assert r"\xfc, \u5b57, c" in done.stdout
