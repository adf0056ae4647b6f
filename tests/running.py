"""On SIGTERM, as `timeout` and continuous integration send it, pytest-xdist names the tests that have not ended.

The process that distributes the tests does so, which still answers where a test process hangs.
"""

import os
import signal
from types import FrameType

import pytest

__all__ = ["pytest_runtest_logfinish", "pytest_runtest_logstart", "pytest_sessionstart"]

_running: dict[str, None] = {}  # in the order of their start


def pytest_sessionstart(session: pytest.Session) -> None:
    """Answer SIGTERM in the process that distributes the tests. A test process would pass this on to what it forks."""
    plugins = session.config.pluginmanager
    reporter = plugins.get_plugin("terminalreporter")
    if not plugins.has_plugin("dsession") or reporter is None:
        return

    def name_tests(number: int, _frame: FrameType | None) -> None:
        reporter.ensure_newline()
        reporter.write_line(f"ended by SIGTERM during {', '.join(_running) or 'no test'}")
        reporter.flush()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, name_tests)


def pytest_runtest_logstart(nodeid: str) -> None:
    """Remember a test that begins."""
    _running[nodeid] = None


def pytest_runtest_logfinish(nodeid: str) -> None:
    """Forget a test that has ended."""
    _running.pop(nodeid, None)
