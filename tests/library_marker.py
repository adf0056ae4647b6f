"""The marker `library`: a test of an integration with a library that has an environment of its own.

`@pytest.mark.library("haystack-ai")` names the distribution, which a file of tests/libraries pins. Where it is not
installed the test is skipped. `make test-libraries` sets ASSAY_LIBRARIES to the name of an environment: then the tests
of its libraries alone run, and a skip is a failure, because these tests are skipped everywhere else.
"""

import os
import re
from collections.abc import Generator
from importlib import metadata
from pathlib import Path

import pytest

__all__ = [
    "find_environment",
    "pytest_collection_modifyitems",
    "pytest_make_collect_report",
    "pytest_runtest_makereport",
    "read_environments",
    "read_pins",
]

FOLDER = Path(__file__).parent / "libraries"
CHOSEN = "ASSAY_LIBRARIES"


def read_pins(path: Path) -> dict[str, str]:
    """Return the distributions that a file of requirements names itself, with their versions or addresses."""
    found = re.findall(r"^([\w.-]+)(?:==| @ )(\S+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(found)


def read_environments(folder: Path = FOLDER) -> dict[str, dict[str, str]]:
    """Return the pins of each environment."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted(folder.glob("*.txt")):
        found.setdefault(path.name.partition(".")[0], {}).update(read_pins(path))
    return found


def find_environment(library: str) -> str:
    """Return the environment that has a library.

    Raises:
        UsageError: None or several have it.
    """
    names = [name for name, pins in read_environments().items() if library in pins]
    if len(names) != 1:
        raise pytest.UsageError(f"library {library!r}: pinned in {names or 'no file'} of {FOLDER}, expected in one")
    return names[0]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests of missing libraries to be skipped, or keep only those of the environment that was chosen."""
    chosen = os.environ.get(CHOSEN)
    if chosen and chosen not in read_environments():
        raise pytest.UsageError(f"{CHOSEN} is {chosen!r}, expected one of {', '.join(read_environments())}")
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        marker = item.get_closest_marker("library")
        environment = None if marker is None else find_environment(*marker.args)
        (left_out if chosen and environment != chosen else kept).append(item)
        if marker is not None and not is_installed(*marker.args):
            reason = f"{marker.args[0]} is not installed: make test-libraries LIBRARIES={environment}"
            item.add_marker(pytest.mark.skip(reason=reason))
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where an environment was chosen."""
    report = yield
    if not hasattr(report, "wasxfail"):
        _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn the skip of a whole module into a failure where an environment was chosen."""
    report = yield
    _refuse_skip(report)
    return report


def is_installed(library: str) -> bool:
    try:
        metadata.version(library)
    except metadata.PackageNotFoundError:
        return False
    return True


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if os.environ.get(CHOSEN) and report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome, report.longrepr = "failed", f"{reason} (in make test-libraries every test must run)"
