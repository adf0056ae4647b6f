"""Run batches on a session, with one call at a time or several in parallel.

For latency, one call at a time uses all cores. For throughput, each core runs a call with one thread: no core waits for
another between two operators, so more rows are answered per second, and each of them takes longer.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np

from assay.inputs.tokenization import Tokens
from assay.ort.session import Float32, Session

__all__ = ["Engine", "Mode"]

Mode = Literal["latency", "throughput"]


class Engine:
    """A session with the threads that call it. Idle threads wait without spinning."""

    def __init__(self, session: Session, callers: int, plan_calls: Callable[[Sequence[int]], list[list[int]]]) -> None:
        """Run up to `callers` calls at a time. `plan_calls` groups rows into calls by their lengths in tokens."""
        self.session = session
        self._plan_calls = plan_calls
        self._pool = ThreadPoolExecutor(callers, thread_name_prefix="assay") if callers > 1 else None

    def answer(self, tokens: Sequence[Tokens], labels: int) -> Float32:
        """Return the logits, float32 [n, labels], of n rows in order. Raises what the session raises."""
        logits = np.empty((len(tokens), labels), dtype=np.float32)

        def call(indices: list[int]) -> None:
            logits[indices] = self.session.answer([tokens[index] for index in indices])

        lengths = [self.session.pad_length(len(row.ids)) for row in tokens]
        self._for_each(call, self._plan_calls(lengths))
        return logits

    def _for_each(self, call: Callable[[list[int]], None], groups: list[list[int]]) -> None:
        if self._pool is None or len(groups) == 1:
            for indices in groups:
                call(indices)
        else:
            # An error cancels the calls that have not started.
            for _ in self._pool.map(call, groups):
                pass
