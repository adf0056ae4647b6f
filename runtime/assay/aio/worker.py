"""A thread that works for an event loop."""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

__all__ = ["Worker"]


class Worker:
    """One thread. It does one piece of work after the other, and passes each result back to the event loop."""

    def __init__(self, name: str) -> None:
        self.thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    def submit(self, loop: asyncio.AbstractEventLoop, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Call `work` in the thread, then `done` on the loop with what it returned or raised."""

        def run() -> None:
            try:
                outcome = work()
            except BaseException as error:
                outcome = error
            # A loop that was closed without aclose raises RuntimeError. All its callers were cancelled.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(done, outcome)

        self.thread.submit(run)

    def shutdown(self, wait: bool) -> None:
        """End the thread once its work is done. Returns at once unless `wait`."""
        self.thread.shutdown(wait=wait)
