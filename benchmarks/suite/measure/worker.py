"""The peer's end of its process: answers one JSON line on standard input with one on standard output.

    python -m benchmarks.suite.measure.worker PEER SETUP MODE

Until the first answer nothing is imported that a user of the peer would not import, so that the time from the start of
the process to that answer is the peer's. What libraries print goes to standard error.
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
    from assay.inputs.validation import Row
    from benchmarks.suite.peers import Peer
    from benchmarks.suite.setup import Mode

__all__ = ["serve_process"]

WARM_SECONDS, WARM_CALLS, WARM_SPREAD = 6.0, 12, 0.05
"""Warm-up ends when two groups of three calls have medians this close, or after this long or this many calls."""


def warm_up(call: Callable[[], float], clock: Callable[[], float] = time.perf_counter) -> float:
    """Call until the time of a call is stable, and return the median of the last three calls in seconds."""
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


def time_call(peer: "Peer", rows: Sequence["Row"]) -> float:
    """Return the seconds of one call."""
    start = time.perf_counter()
    peer.run(rows)
    return time.perf_counter() - start


def take_turn(peer: "Peer", requests: Sequence[Sequence["Row"]], calls: int, settle: int) -> list[float]:
    """Time `calls` calls, going through the requests in turn.

    Args:
        peer: The peer.
        requests: The requests, each a list of rows.
        calls: How many calls to time.
        settle: Calls before them that are not timed: the first call after a pause wakes threads and caches.

    Returns:
        The seconds of each call. Garbage is collected before the turn and not during it.
    """
    gc.collect()
    gc.disable()
    try:
        for number in range(settle):
            peer.run(requests[number % len(requests)])
        return [time_call(peer, requests[number % len(requests)]) for number in range(calls)]
    finally:
        gc.enable()


def measure_resident() -> int | None:
    """Measure the resident set of this process in bytes, mapped weights included; None without /proc."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def measure_memory(status: Path = Path("/proc/self/status")) -> dict[str, int]:
    """Measure the resident set of this process now and at its peak, in bytes; nothing without /proc (man 5 proc)."""
    try:
        lines = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines() if ":" in line)
        found = {"resident_bytes": lines["VmRSS"], "peak_bytes": lines["VmHWM"]}
        return {name: int(text.split()[0]) * 1024 for name, text in found.items()}
    except (OSError, KeyError, ValueError):
        return {}


class Worker:
    """The questions that a peer's process answers."""

    def __init__(self, peer: "Peer", row: "Row") -> None:
        self._peer, self._row = peer, row

    def load(self) -> dict[str, Any]:
        """Load and answer one row."""
        self._peer.load()
        self._peer.run([self._row])
        return {"resident_bytes": measure_resident()}

    def logits(self, rows: list["Row"]) -> dict[str, Any]:
        """Compute the logits of the rows, each in a separate request, so that no row is padded."""
        return {"logits": [[float(value) for value in self._peer.run([row])[0]] for row in rows]}

    def warm(self, requests: list[list["Row"]]) -> dict[str, Any]:
        """Warm up on these requests."""
        number = iter(range(10**9))
        return {"seconds": warm_up(lambda: time_call(self._peer, requests[next(number) % len(requests)]))}

    def memory(self) -> dict[str, Any]:
        """Measure the memory of this process."""
        return measure_memory()

    def turn(self, requests: list[list["Row"]], calls: int, settle: int) -> dict[str, Any]:
        """Take one turn."""
        return {"seconds": take_turn(self._peer, requests, calls, settle)}


def serve(worker: object, questions: IO[str], answers: IO[str]) -> None:
    """Answer until the questions end. A question that fails is answered with the error, and is the last."""
    for line in questions:
        question = json.loads(line)
        try:
            answer = getattr(worker, question.pop("do"))(**question)
        except Exception as error:
            answer = _describe(error)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
        if "error" in answer:
            return


def serve_process(make: Callable[[], object]) -> None:
    """Make a worker and serve it on the standard input and output of this process."""
    _die_with_parent()
    # Libraries print to standard output, so the answers get a separate pipe.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        worker = make()
    except Exception as error:
        answers.write(json.dumps(_describe(error)) + "\n")
        answers.flush()
        return
    serve(worker, sys.stdin, answers)


def _die_with_parent() -> None:
    """End with the parent: a stopped process does not see its pipe close (man 2 prctl, PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _describe(error: Exception) -> dict[str, str]:
    return {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"}


def _make_worker() -> Worker:
    from benchmarks.suite.peers import make
    from benchmarks.suite.setup import Setup, choose_first_row

    name, setup_json, mode = sys.argv[1:]
    setup = Setup.from_json(setup_json)
    return Worker(make(name, setup, cast("Mode", mode)), choose_first_row(setup))


if __name__ == "__main__":
    serve_process(_make_worker)
