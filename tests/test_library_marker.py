"""The marker `library` in a small folder of tests, and the pins that it and make test-libraries read."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.library_marker import FOLDER, find_environment, read_environments, read_pins

ROOT = Path(__file__).parent.parent

CONFTEST = """
from tests import library_marker
from tests.library_marker import *

library_marker.is_installed = lambda library: library != "nemo-curator"
"""
TESTS = """
import pytest

@pytest.fixture
def absent():
    pytest.skip("no materials")

def test_plain(): pass

@pytest.mark.library("haystack-ai")
def test_haystack(): pass

@pytest.mark.library("haystack-ai")
def test_haystack_skips(absent): pass

@pytest.mark.library("nemo-curator")
def test_nemo(): pass

@pytest.mark.library("verl")
def test_verl(): pass
"""


def run(folder: Path, environment: str | None, tests: str = TESTS) -> tuple[dict[str, str], str]:
    """Run pytest in a folder with `tests`; return each test's outcome, and the output."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = library(name)\n")
    (folder / "test_small.py").write_text(tests)
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith(("ASSAY_LIBRARIES", "PYTEST"))
    }
    variables |= {
        "PYTHONPATH": str(ROOT),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        **({} if environment is None else {"ASSAY_LIBRARIES": environment}),
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-ra", "-p", "no:cacheprovider", "--import-mode=importlib"],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=120,
    )
    output = done.stdout + done.stderr
    return dict(re.findall(r"^test_small.py::test_(\w+) (\w+)", output, flags=re.MULTILINE)), output


def test_a_test_of_a_missing_library_is_skipped_and_says_how_to_run_it(tmp_path: Path) -> None:
    outcomes, output = run(tmp_path, None)
    assert outcomes == {
        "plain": "PASSED",
        "haystack": "PASSED",
        "haystack_skips": "SKIPPED",
        "nemo": "SKIPPED",
        "verl": "PASSED",
    }
    assert "nemo-curator is not installed: make test-libraries LIBRARIES=frameworks" in output


def test_in_an_environment_its_tests_alone_run_and_a_skip_fails(tmp_path: Path) -> None:
    outcomes, output = run(tmp_path, "frameworks")
    assert outcomes == {"haystack": "PASSED", "haystack_skips": "ERROR", "nemo": "ERROR"}
    assert "no materials (in make test-libraries every test must run)" in output
    assert "1 passed, 2 deselected, 2 errors" in output


def test_in_an_environment_a_module_that_is_skipped_fails(tmp_path: Path) -> None:
    tests = TESTS.replace("import pytest\n", "import pytest\npytest.importorskip('no_such_module')\n")
    assert "= 1 skipped in" in run(tmp_path, None, tests)[1]
    _, output = run(tmp_path, "frameworks", tests)
    assert "No module named 'no_such_module' (in make test-libraries every test must run)" in output
    assert "= 1 error in" in output


def test_names_that_no_file_pins_are_refused(tmp_path: Path) -> None:
    _, output = run(tmp_path, "nothing")
    assert "ASSAY_LIBRARIES is 'nothing', expected one of base, frameworks, verl" in output
    _, output = run(tmp_path, None, TESTS.replace('"verl"', '"ver"'))
    assert "library 'ver': pinned in no file" in output


def test_every_environment_that_make_creates_has_tests() -> None:
    made = re.search(r"^LIBRARIES := (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert made is not None
    assert set(made[1].split()) == read_environments().keys() - {"base"}
    source = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("tests/*/**/test_*.py"))
    marked = re.findall(r'^@pytest\.mark\.library\("([\w-]+)"\)$', source, flags=re.MULTILINE)
    assert {find_environment(library) for library in marked} == set(made[1].split())


def test_what_the_lock_files_have_too_has_the_same_version() -> None:
    locked = read_pins(ROOT / "requirements.lock") | read_pins(ROOT / "requirements-dev.lock")
    for path in FOLDER.glob("*.txt"):
        pins = read_pins(path)
        assert pins
        assert {name: version for name, version in pins.items() if name in locked}.items() <= locked.items(), path
