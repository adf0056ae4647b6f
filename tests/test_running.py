"""What pytest says when it is ended from outside."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ended import ended

ROOT = Path(__file__).parent.parent
TESTS = """
import pathlib, time

def test_that_ends(): pass

def test_that_hangs():
    pathlib.Path({flag!r}).touch()
    time.sleep(300)
"""


def test_sigterm_names_the_test_that_hangs(tmp_path: Path) -> None:
    flag = tmp_path / "begun"
    (tmp_path / "conftest.py").write_text("from tests.running import *\n", encoding="utf-8")
    (tmp_path / "test_some.py").write_text(TESTS.format(flag=str(flag)), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "-n", "2"]
    pytest_run = subprocess.Popen([*command, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with ended(pytest_run):
        for _ in range(600):
            if flag.exists():
                break
            with pytest.raises(subprocess.TimeoutExpired):
                pytest_run.wait(timeout=0.1)
        pytest_run.terminate()
        output, _ = pytest_run.communicate(timeout=60)
    assert pytest_run.returncode == -signal.SIGTERM
    assert "ended by SIGTERM during test_some.py::test_that_hangs\n" in output
