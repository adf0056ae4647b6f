"""The turns: fair order, peers that crash, and a run that is interrupted and goes on."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.machine.energy import Meter
from benchmarks.suite.measure import rounds
from benchmarks.suite.measure.rounds import FEWEST_ROUNDS, MOST_ROUNDS, count_calls, measure, start
from benchmarks.suite.samples import Samples

CELLS: dict[str, Any] = {"16": [["text"]], "64": [["longer text"]]}


class Clock:
    """Seconds that pass only when a process works."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class FakeProcess:
    """Takes `seconds` a call, and fails or is interrupted at its n-th turn."""

    def __init__(self, clock: Clock, seconds: float, dies_at: int | None = None, interrupted_at: int | None = None):
        self.clock, self.seconds, self.turns = clock, seconds, 0
        self.dies_at, self.interrupted_at = dies_at, interrupted_at
        self.closed = False

    def ask(self, do: str, limit: float, **question: Any) -> dict[str, Any]:  # noqa: ARG002
        if do == "load":
            return {"resident_bytes": 5}
        if do == "warm":
            return {"seconds": self.seconds}
        if do == "memory":
            return {"resident_bytes": 5, "peak_bytes": 7}
        self.turns += 1
        if self.turns == self.dies_at:
            raise BenchmarkError("its process was killed by SIGKILL")
        if self.turns == self.interrupted_at:
            raise KeyboardInterrupt
        self.clock.now += self.seconds * question["calls"]
        return {"seconds": [self.seconds] * question["calls"]}

    def close(self) -> None:
        self.closed = True


def silent(_text: str) -> None:
    pass


def turns(samples: Samples, peer: str) -> list[tuple[int, str]]:
    return [(turn["round"], turn["cell"]) for turn in samples.of("turn", peer=peer)]


def test_rounds_go_on_until_the_budget_is_spent_and_there_are_always_a_few(tmp_path: Path) -> None:
    for budget, expected in ((0.0, FEWEST_ROUNDS), (10.0, 5), (1e9, MOST_ROUNDS)):
        clock, samples = Clock(), Samples(tmp_path / f"{budget}.jsonl")
        peers = {"a": FakeProcess(clock, 0.5), "b": FakeProcess(clock, 0.5)}
        measure(dict(peers), CELLS, "latency", samples, budget, silent, clock)
        assert {number for number, _ in turns(samples, "a")} == set(range(expected))


def test_a_peer_that_crashes_is_out_with_its_reason_and_the_others_go_on(tmp_path: Path) -> None:
    clock, samples = Clock(), Samples(tmp_path / "samples.jsonl")
    running: dict[str, rounds.Process] = {"a": FakeProcess(clock, 1.0), "b": FakeProcess(clock, 1.0, dies_at=2)}
    measure(running, CELLS, "latency", samples, 0.0, silent, clock)
    assert [failure["reason"] for failure in samples.of("failure", peer="b")] == ["its process was killed by SIGKILL"]
    assert turns(samples, "b") == [(0, "16")]
    assert len(turns(samples, "a")) == FEWEST_ROUNDS * len(CELLS)


def test_a_peer_that_cannot_load_is_left_out_and_the_others_start(tmp_path: Path) -> None:
    class Broken(FakeProcess):
        def ask(self, do: str, limit: float, **question: Any) -> dict[str, Any]:  # noqa: ARG002
            raise BenchmarkError("ImportError: no")

    clock, samples = Clock(), Samples(tmp_path / "samples.jsonl")
    peers = {"a": Broken(clock, 1.0), "b": FakeProcess(clock, 1.0)}
    running = start(["a", "b"], peers.__getitem__, "latency", samples, silent)
    assert list(running) == ["b"]
    assert [record["reason"] for record in samples.of("failure")] == ["ImportError: no"]
    assert [record["peer"] for record in samples.of("start")] == ["b"]


def test_an_interrupted_run_goes_on_where_it_stopped_and_takes_no_round_twice(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    clock, samples = Clock(), Samples(path)
    stopping = {"a": FakeProcess(clock, 1.0), "b": FakeProcess(clock, 1.0, interrupted_at=4)}
    with pytest.raises(KeyboardInterrupt):
        measure(dict(stopping), CELLS, "latency", samples, 0.0, silent, clock)
    samples.close()
    with path.open("a", encoding="utf-8") as file:
        file.write('{"kind": "turn", "mode": "lat')  # what a kill leaves of the last line

    again = Samples(path)
    before = turns(again, "a")
    assert before
    clock = Clock()
    measure({"a": FakeProcess(clock, 1.0), "b": FakeProcess(clock, 1.0)}, CELLS, "latency", again, 0.0, silent, clock)
    for peer in "ab":
        assert len(turns(again, peer)) == len(set(turns(again, peer)))
    assert turns(again, "a")[: len(before)] == before
    assert {number for number, _ in turns(again, "b")} >= set(range(FEWEST_ROUNDS))
    again.close()
    assert len(Samples(path).records) == len(again.records)


@pytest.mark.parametrize("seconds", [1e-5, 0.03, 9.0])
def test_a_turn_has_at_least_one_call_and_not_too_many(seconds: float) -> None:
    assert 1 <= count_calls(seconds) <= rounds.MOST_CALLS


class FakeMeter(Meter):
    """Counts 6 joules from one reading to the next."""

    def __init__(self) -> None:
        self.now = 0

    def read(self) -> list[int]:
        self.now += 6
        return [self.now]

    def joules(self, before: list[int], after: list[int]) -> float:
        return float(after[0] - before[0])


class FakeWatch:
    """Numbers the rounds."""

    def __init__(self) -> None:
        self.rounds = 0

    def begin(self) -> None:
        self.rounds += 1

    def end(self) -> dict[str, Any]:
        return {"steal": self.rounds / 100}


def test_every_round_is_watched_and_every_turn_has_its_energy_and_every_peer_its_memory(tmp_path: Path) -> None:
    clock, samples = Clock(), Samples(tmp_path / "samples.jsonl")
    peers: dict[str, rounds.Process] = {"a": FakeProcess(clock, 0.2)}
    measure(peers, CELLS, "latency", samples, 0.0, silent, clock, watch=FakeWatch(), meter=FakeMeter())
    assert [(block["round"], block["steal"]) for block in samples.of("block")] == [(0, 0.01), (1, 0.02), (2, 0.03)]
    # Two calls that are timed and one before them.
    assert {(len(turn["seconds"]), turn["joules"]) for turn in samples.of("turn")} == {(2, 2.0)}
    (memory,) = samples.of("memory")
    assert (memory["peer"], memory["resident_bytes"], memory["peak_bytes"]) == ("a", 5, 7)


def test_without_a_meter_turns_have_no_energy(tmp_path: Path) -> None:
    clock, samples = Clock(), Samples(tmp_path / "samples.jsonl")
    measure({"a": FakeProcess(clock, 0.2)}, CELLS, "latency", samples, 0.0, silent, clock)
    assert all("joules" not in turn for turn in samples.of("turn"))
    assert not list(samples.of("block"))


@pytest.mark.parametrize(("seconds", "settle"), [(1.0, 1), (60.0, 0)])
def test_a_long_call_is_not_made_once_more_to_settle(seconds: float, settle: int, tmp_path: Path) -> None:
    asked = []

    class Remembering(FakeProcess):
        def ask(self, do: str, limit: float, **question: Any) -> dict[str, Any]:
            asked.append(question.get("settle"))
            return super().ask(do, limit, **question)

    clock, samples = Clock(), Samples(tmp_path / "samples.jsonl")
    measure({"a": Remembering(clock, seconds)}, CELLS, "latency", samples, 0.0, silent, clock)
    assert set(asked) == {None, settle}
