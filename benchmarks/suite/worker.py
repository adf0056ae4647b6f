"""A peer's process: answers one JSON line on standard input with one on standard output.

    python -m benchmarks.suite.worker PEER SETUP MODE

Before the peer's first answer nothing is imported that its user would not import, so that the time from the process's
start to that answer is the peer's. What libraries print goes to standard error.
"""

import ctypes
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from benchmarks.suite.peers import Peer
    from benchmarks.suite.setup import Mode

WARM_SECONDS, WARM_CALLS, WARM_SPREAD = 6.0, 12, 0.05
"""Warm-up ends where two runs of three calls have medians this close, or after this long or this many calls."""


def warm_up(call: Callable[[], float], clock: Callable[[], float] = time.perf_counter) -> float:
    """Call until the time of a call is stable, and give it: seconds, the median of the last three calls."""
    begin, times = clock(), [call()]
    while True:
        if len(times) >= 6 and abs(_median(times[-3:]) / _median(times[-6:-3]) - 1) <= WARM_SPREAD:
            break
        if len(times) >= WARM_CALLS or clock() - begin > WARM_SECONDS:
            break
        times.append(call())
    return _median(times[-3:])


def _median(times: Sequence[float]) -> float:
    return sorted(times)[len(times) // 2]


def timed(peer: "Peer", rows: Sequence[object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    peer.run(rows)
    return time.perf_counter() - start


def turn(peer: "Peer", requests: Sequence[Sequence[object]], calls: int, settle: int) -> list[float]:
    """Seconds of `calls` calls, over `requests` in turn, after `settle` that are not counted: the first call after a
    pause wakes threads and caches. The garbage of the turn before is collected first, and none during it."""
    gc.collect()
    gc.disable()
    try:
        for number in range(settle):
            peer.run(requests[number % len(requests)])
        return [timed(peer, requests[number % len(requests)]) for number in range(calls)]
    finally:
        gc.enable()


def resident_bytes() -> int | None:
    """The resident set of this process, mapped weights included; None where /proc is absent."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


class Worker:
    """What the process was asked so far."""

    def __init__(self, peer: "Peer", row: object) -> None:
        self._peer, self._row = peer, row

    def load(self) -> dict[str, Any]:
        """Load and answer one row."""
        self._peer.load()
        self._peer.run([self._row])
        return {"resident_bytes": resident_bytes()}

    def logits(self, rows: list[object]) -> dict[str, Any]:
        """The logits of the rows, each a request of its own: what padding does to a neighbour is not asked here."""
        return {"logits": [[float(value) for value in self._peer.run([row])[0]] for row in rows]}

    def warm(self, requests: list[list[object]]) -> dict[str, Any]:
        """Warm up on these requests."""
        number = iter(range(10**9))
        return {"seconds": warm_up(lambda: timed(self._peer, requests[next(number) % len(requests)]))}

    def turn(self, requests: list[list[object]], calls: int, settle: int) -> dict[str, Any]:
        """One turn."""
        return {"seconds": turn(self._peer, requests, calls, settle)}


def serve(worker: object, questions: IO[str], answers: IO[str]) -> None:
    """Answer until the questions end. A question that fails is answered with its error, and ends the process."""
    for line in questions:
        question = json.loads(line)
        try:
            answer = getattr(worker, question.pop("do"))(**question)
        except Exception as error:
            answer = _failure(error)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
        if "error" in answer:
            return


def protocol(make: Callable[[], object]) -> None:
    """Serve what `make` makes on this process's standard input and output."""
    _die_with_parent()
    # The answers' pipe is kept apart: libraries print to standard output.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        worker = make()
    except Exception as error:
        answers.write(json.dumps(_failure(error)) + "\n")
        answers.flush()
        return
    serve(worker, sys.stdin, answers)


def _die_with_parent() -> None:
    """Where the parent is killed, a stopped process would not see its pipe close (man 2 prctl, PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _failure(error: Exception) -> dict[str, str]:
    return {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"}


def _worker() -> Worker:
    from benchmarks.suite.peers import make
    from benchmarks.suite.setup import Setup, first_row

    name, setup_json, mode = sys.argv[1:]
    setup = Setup.from_json(setup_json)
    return Worker(make(name, setup, cast("Mode", mode)), first_row(setup))


if __name__ == "__main__":
    protocol(_worker)
