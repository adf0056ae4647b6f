"""The turns: in every round each peer measures each cell once, so that a noisy machine hits all of them alike."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from benchmarks.peers import PeerError
from benchmarks.suite.samples import Samples
from benchmarks.suite.setup import Mode

Requests = list[list[Any]]  # requests, each of some rows

FEWEST_ROUNDS, MOST_ROUNDS = 3, 30
TURN_SECONDS, MOST_CALLS = 0.4, 16  # aimed at for a turn
ANSWER_SECONDS = 300.0  # a peer that takes longer for a turn is given up
LOAD_SECONDS = 900.0  # the same, for load and first answer: compilers take minutes


class Process(Protocol):
    """What process.PeerProcess is to this module."""

    def ask(self, do: str, limit: float, **question: Any) -> dict[str, Any]: ...

    def close(self) -> None: ...


def calls_per_turn(seconds: float) -> int:
    """How many calls a turn takes where one takes `seconds`."""
    return min(max(round(TURN_SECONDS / seconds), 1), MOST_CALLS)


def start(
    names: list[str], launch: Callable[[str], Process], mode: Mode, samples: Samples, say: Callable[[str], None]
) -> dict[str, Process]:
    """The processes that load and answer, one after the other; how long each took and the memory it then held are kept.
    One that fails is left out, with its reason in the samples."""
    running: dict[str, Process] = {}
    for name in names:
        begin = time.perf_counter()
        process = launch(name)
        try:
            answer = process.ask("load", LOAD_SECONDS)
        except PeerError as error:
            samples.add("failure", peer=name, mode=mode, reason=str(error))
            say(f"{name}: {error}")
            continue
        seconds = time.perf_counter() - begin
        samples.add("start", peer=name, mode=mode, seconds=seconds, **answer)
        running[name] = process
    return running


def enough(rounds: int, spent: float, budget_seconds: float) -> bool:
    """Whether there is no time for another round, which takes about as long as the ones before, or no need."""
    return rounds >= MOST_ROUNDS or (rounds >= FEWEST_ROUNDS and spent * (rounds + 1) / rounds > budget_seconds)


def progress(samples: Samples, mode: Mode) -> tuple[int, float]:
    """The rounds that were begun, and the seconds that they took."""
    turns = list(samples.of("turn", mode=mode))
    return max((turn["round"] + 1 for turn in turns), default=0), max((turn["spent"] for turn in turns), default=0.0)


def measure(
    running: dict[str, Process],
    cells: Mapping[str, Requests],
    mode: Mode,
    samples: Samples,
    budget_seconds: float,
    say: Callable[[str], None],
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    """Rounds until the budget is spent: at least FEWEST_ROUNDS, and at most MOST_ROUNDS, those of an interrupted run
    that `samples` already has included. A peer that fails is out from then on."""

    def ask(name: str, do: str, **question: Any) -> dict[str, Any] | None:
        try:
            return running[name].ask(do, ANSWER_SECONDS, **question)
        except PeerError as error:
            samples.add("failure", peer=name, mode=mode, reason=str(error))
            say(f"{name}: {error}")
            del running[name]
            return None

    calls: dict[tuple[str, str], int] = {}
    for cell, requests in cells.items():
        say(f"{mode}, {cell}: warming up")
        for name in list(running):
            answer = ask(name, "warm", requests=requests)
            if answer is not None:
                calls[name, cell] = calls_per_turn(answer["seconds"])
    first, spent = progress(samples, mode)
    begin = clock() - spent
    for number in range(first, MOST_ROUNDS):
        elapsed = clock() - begin
        if enough(number, elapsed, budget_seconds):
            break
        say(f"{mode}, round {number + 1}, {elapsed:.0f} s of {budget_seconds:.0f} s")
        for cell, requests in cells.items():
            for name in in_turn(list(running), number):
                # The call after a pause is not counted, unless one call is a whole set of texts.
                answer = ask(name, "turn", requests=requests, calls=calls[name, cell], settle=int(mode == "latency"))
                if answer is not None:
                    values = [round(value, 7) for value in answer["seconds"]]
                    samples.add(
                        "turn", mode=mode, round=number, cell=cell, peer=name, seconds=values, spent=clock() - begin
                    )


def in_turn(names: list[str], number: int) -> Iterator[str]:
    """The names, the first of one round being the last of the next."""
    for position in range(len(names)):
        yield names[(position + number) % len(names)]
