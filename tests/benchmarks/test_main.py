"""The dispatcher of `python -m benchmarks`: help, missing packages, and failures of the system in one line."""

import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import COMMANDS, main


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in COMMANDS)


def test_a_missing_package_is_one_line_with_the_extras_that_bring_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, COMMANDS["run"], None)
    assert main(["run", "model"]) == 1
    error = capsys.readouterr().err
    assert "which is not installed: run pip install ./kernels '.[cpu,export,bench]' in a clone" in error
    assert len(error.splitlines()) == 1


def test_what_only_another_command_needs_may_be_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, COMMANDS["run"], None)
    with pytest.raises(SystemExit):
        main(["readme", "--help"])
    assert "--check" in capsys.readouterr().out


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    assert main(["run", "model", "--work", str(tmp_path / "file" / "work"), "--out", str(tmp_path / "out")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert "file" in line
