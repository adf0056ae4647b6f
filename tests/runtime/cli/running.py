"""Runs the command line, in this process or in another."""

import subprocess
import sys
from typing import Any

import pytest

from assay.cli.main import main

PAIR = ["what causes rain", "rain forms when water is a b"]


def run(*words: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Return exit code, standard output and standard error of `assay WORDS` in this process."""
    try:
        code = main([str(word) for word in words])
    except SystemExit as error:
        code = int(error.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def start_process(*words: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `assay WORDS` in another process to its end."""
    command = [sys.executable, "-m", "assay", *map(str, words)]
    return subprocess.run(command, text=True, check=False, **{"capture_output": True} | options)
