"""What a worker times: warm-up until stable, calls without collection, answers in order."""

import gc
import io
import json
from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks.suite.batches import ROWS, batches, in_batches
from benchmarks.suite.setup import Float32
from benchmarks.suite.worker import WARM_CALLS, Worker, serve, turn, warm_up


class Lengths:
    """A peer that answers with each text's length, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[object]] = []
        self.collecting: list[bool] = []

    def load(self) -> None:
        self.asked.append([])

    def run(self, rows: Sequence[object]) -> Float32:
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
    seconds = turn(peer, [["a"], ["b"], ["c"]], calls=4, settle=1)
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


@pytest.mark.parametrize("mode", ["latency", "throughput"])
def test_batched_answers_come_in_the_order_of_the_rows(mode: str) -> None:
    rows = ["x" * length for length in (3, 70, 1, 9, 300, 10, 9, 8, 71, 72, 2, 10, 11)]
    answer = in_batches(rows, Lengths().run, mode, "cpu")  # type: ignore[arg-type]
    assert answer[:, 0].tolist() == [len(row) for row in rows]


def test_batches_hold_rows_of_like_length_and_every_row_once() -> None:
    sizes = [100, 10, 99, 11, 50, 81, 80, 79]
    parts = batches(sizes, ROWS["cpu"])
    assert parts == [[0, 2, 5, 6], [7], [4], [3, 1]]
    assert sorted(index for part in parts for index in part) == list(range(len(sizes)))
