"""End what a test has started, also where the test fails."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def ended(process: "subprocess.Popen[Any]") -> Iterator[None]:
    """Kill the process at the end of the block if it still runs. Popen's own block would wait for it without limit."""
    try:
        yield
    finally:
        process.kill()
