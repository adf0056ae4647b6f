"""What a worker times: warm-up until stable, calls without collection, answers in order."""

import gc
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from assay.inputs.validation import Row
from benchmarks.suite.measure.worker import WARM_CALLS, Worker, measure_memory, serve, take_turn, warm_up
from benchmarks.suite.setup import Float32


class Lengths:
    """A peer that answers with each text's length, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[object]] = []
        self.collecting: list[bool] = []

    def load(self) -> None:
        self.asked.append([])

    def run(self, rows: Sequence[Row]) -> Float32:
        self.asked.append(list(rows))
        self.collecting.append(gc.isenabled())
        return np.array([[len(str(row))] for row in rows], np.float32)


def test_warm_up_ends_when_three_calls_take_what_three_before_took() -> None:
    times = iter([9.0, 5.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    assert warm_up(lambda: next(times), clock=lambda: 0.0) == 1.0
    assert len(list(times)) == 2


def test_warm_up_of_a_peer_that_never_settles_ends_all_the_same() -> None:
    taken: list[float] = []

    def call() -> float:
        taken.append(2.0 ** len(taken))
        return taken[-1]

    warm_up(call, clock=lambda: 0.0)
    assert len(taken) == WARM_CALLS


def test_a_turn_goes_round_the_requests_and_collects_no_garbage_meanwhile() -> None:
    peer = Lengths()
    seconds = take_turn(peer, [["a"], ["b"], ["c"]], calls=4, settle=1)
    assert len(seconds) == 4
    assert peer.asked == [["a"], ["a"], ["b"], ["c"], ["a"]]
    assert not any(peer.collecting)
    assert gc.isenabled()


def test_logits_are_asked_for_row_by_row() -> None:
    peer = Lengths()
    assert Worker(peer, "first").logits(["aa", "b"]) == {"logits": [[2.0], [1.0]]}
    assert peer.asked == [["aa"], ["b"]]


def test_questions_are_answered_until_one_fails() -> None:
    answers = io.StringIO()
    questions = [{"do": "load"}, {"do": "logits", "rows": ["aa"]}, {"do": "nonsense"}, {"do": "load"}]
    serve(Worker(Lengths(), "row"), io.StringIO("".join(json.dumps(q) + "\n" for q in questions)), answers)
    first, second, third = map(json.loads, answers.getvalue().splitlines())
    assert first.keys() == {"resident_bytes"}
    assert second == {"logits": [[2.0]]}
    assert "AttributeError" in third["error"]


def test_memory_is_what_the_system_says_of_the_process_now_and_at_its_peak(tmp_path: Path) -> None:
    (tmp_path / "status").write_text("Name:\tpython\nVmHWM:\t   2000 kB\nVmRSS:\t    1000 kB\n", encoding="utf-8")
    assert measure_memory(tmp_path / "status") == {"resident_bytes": 1_024_000, "peak_bytes": 2_048_000}
    assert measure_memory(tmp_path / "nothing") == {}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system has no /proc")
def test_a_worker_measures_its_own_memory() -> None:
    found = Worker(Lengths(), "row").memory()
    assert 0 < found["resident_bytes"] <= found["peak_bytes"]
