"""On SIGTERM, as `timeout` and continuous integration send it, pytest names the tests that have begun and not ended.

With pytest-xdist the process that distributes the tests does so, which still answers where a test process hangs.
"""

import os
import signal
from types import FrameType

import pytest

__all__ = ["pytest_runtest_logfinish", "pytest_runtest_logstart", "pytest_sessionstart"]

_running: dict[str, None] = {}  # in the order of their start


def pytest_sessionstart(session: pytest.Session) -> None:
    """Answer SIGTERM, except in a test process of pytest-xdist and where something else answers it."""
    if "PYTEST_XDIST_WORKER" in os.environ or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return
    plugins = session.config.pluginmanager
    reporter, capture = plugins.get_plugin("terminalreporter"), plugins.get_plugin("capturemanager")

    def name_tests(number: int, _frame: FrameType | None) -> None:
        if capture is not None:  # or the line would go where the test's own output does
            capture.suspend_global_capture()
        if reporter is not None:
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
