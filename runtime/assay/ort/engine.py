"""Run batches on a session, with one call at a time or several in parallel.

For latency, one call at a time uses all cores. For throughput, each core runs a call with one thread: no core waits for
another between two operators, so more rows are answered per second, and each of them takes longer.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from assay.inputs.tokenization import Tokens
from assay.ort.batching import NO_LIMITS, Limits, split
from assay.ort.session import Float32, Session

__all__ = ["Engine"]


class Engine:
    """A session with the threads that call it. Idle threads wait without spinning."""

    def __init__(self, session: Session, callers: int, plan_calls: Callable[[Sequence[int]], list[list[int]]]) -> None:
        """Run up to `callers` calls at a time. `plan_calls` groups rows into calls by their lengths in tokens."""
        self.session = session
        self._plan_calls = plan_calls
        self._pool = ThreadPoolExecutor(callers, thread_name_prefix="assay") if callers > 1 else None

    def answer(
        self,
        tokens: Sequence[Tokens],
        labels: int,
        limits: Limits = NO_LIMITS,
        report: Callable[[int], object] | None = None,
    ) -> Float32:
        """Return the logits, float32 [n, labels], of n rows in order. Raises what the session raises.

        Args:
            tokens: The rows.
            labels: The number of outputs of the head.
            limits: The caller's limits for a call.
            report: Takes the number of rows of each call that ended.
        """
        logits = np.empty((len(tokens), labels), dtype=np.float32)

        def call(indices: list[int]) -> None:
            logits[indices] = self.session.answer([tokens[index] for index in indices])

        lengths = [self.session.pad_length(len(row.ids)) for row in tokens]
        calls = split(self._plan_calls(lengths), lengths, limits)
        # Where the pool maps, an error cancels the calls that have not started.
        ended = map(call, calls) if self._pool is None or len(calls) == 1 else self._pool.map(call, calls)
        for indices, _ in zip(calls, ended, strict=True):
            if report is not None:
                report(len(indices))
        return logits
