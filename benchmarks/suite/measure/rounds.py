"""The turns: in every round each peer measures each cell once, so that noise on the machine hits all peers alike."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from benchmarks.errors import BenchmarkError
from benchmarks.machine.energy import Meter
from benchmarks.suite.samples import Samples
from benchmarks.suite.setup import Mode
from benchmarks.timing import rotate

__all__ = ["ANSWER_SECONDS", "Observer", "Process", "is_enough", "measure", "read_progress", "start"]

Requests = list[list[Any]]  # each request is a list of rows

FEWEST_ROUNDS, MOST_ROUNDS = 3, 30
TURN_SECONDS, MOST_CALLS = 0.4, 16  # the aim for one turn
SETTLE_BELOW = 10.0  # longer calls are not changed by the pause before them
ANSWER_SECONDS = 600.0  # a peer that takes longer for a turn is dropped
LOAD_SECONDS = 900.0  # the same for loading and the first answer: compilers take minutes


class Observer(Protocol):
    """What this module needs of machine.noise.Watch: it observes the machine during a round."""

    def begin(self) -> None: ...

    def end(self) -> dict[str, Any]: ...


class Process(Protocol):
    """What this module needs of process.PeerProcess."""

    def ask(self, do: str, limit: float, **question: Any) -> dict[str, Any]: ...

    def close(self) -> None: ...


def count_calls(seconds: float) -> int:
    """Return the number of calls of a turn if one call takes `seconds`."""
    return min(max(round(TURN_SECONDS / seconds), 1), MOST_CALLS)


def start(
    names: list[str], launch: Callable[[str], Process], mode: Mode, samples: Samples, say: Callable[[str], None]
) -> dict[str, Process]:
    """Start the peers one after the other, and sample the time to the first answer and the resident memory.

    Returns:
        The processes that load and answer. For one that fails, the samples have the reason.
    """
    running: dict[str, Process] = {}
    for name in names:
        begin = time.perf_counter()
        process = launch(name)
        try:
            answer = process.ask("load", LOAD_SECONDS)
        except BenchmarkError as error:
            samples.add("failure", peer=name, mode=mode, reason=str(error))
            say(f"{name}: {error}")
            continue
        seconds = time.perf_counter() - begin
        samples.add("start", peer=name, mode=mode, seconds=seconds, **answer)
        running[name] = process
    return running


def is_enough(rounds: int, spent: float, budget_seconds: float) -> bool:
    """Return whether there are enough rounds, or no time for another one as long as those before."""
    return rounds >= MOST_ROUNDS or (rounds >= FEWEST_ROUNDS and spent * (rounds + 1) / rounds > budget_seconds)


def read_progress(samples: Samples, mode: Mode) -> tuple[int, float]:
    """Return the number of rounds that were started, and the seconds that they took."""
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
    watch: Observer | None = None,
    meter: Meter | None = None,
) -> None:
    """Take rounds until the budget is spent: at least FEWEST_ROUNDS and at most MOST_ROUNDS.

    Rounds of an interrupted run that `samples` already has count. A peer that fails is dropped.

    Args:
        running: The peers' processes by name.
        cells: The requests of each cell, such as "64" for one row of 64 tokens.
        mode: The mode that the processes were started for.
        samples: Where every turn is kept.
        budget_seconds: When to stop.
        say: Prints progress.
        clock: Returns the time in seconds.
        watch: Observes the machine in every round, which becomes a sample.
        meter: Measures the energy of every turn.
    """

    def ask(name: str, do: str, **question: Any) -> dict[str, Any] | None:
        try:
            return running[name].ask(do, ANSWER_SECONDS, **question)
        except BenchmarkError as error:
            samples.add("failure", peer=name, mode=mode, reason=str(error))
            say(f"{name}: {error}")
            del running[name]
            return None

    seconds: dict[tuple[str, str], float] = {}
    for cell, requests in cells.items():
        say(f"{mode}, {cell}: warming up")
        for name in list(running):
            answer = ask(name, "warm", requests=requests)
            if answer is not None:
                seconds[name, cell] = answer["seconds"]
    first, spent = read_progress(samples, mode)
    begin = clock() - spent
    for number in range(first, MOST_ROUNDS):
        elapsed = clock() - begin
        if is_enough(number, elapsed, budget_seconds):
            break
        say(f"{mode}, round {number + 1}, {elapsed:.0f} s of {budget_seconds:.0f} s")
        if watch is not None:
            watch.begin()
        for cell, requests in cells.items():
            for name in rotate(list(running), number):
                # The first call after a pause is not counted, unless a call is a whole set of texts.
                expected = seconds[name, cell]
                settle = int(mode == "latency" and expected < SETTLE_BELOW)
                before = meter.read() if meter else []
                answer = ask(name, "turn", requests=requests, calls=count_calls(expected), settle=settle)
                if answer is None:
                    continue
                energy = meter.joules(before, meter.read()) / (len(answer["seconds"]) + settle) if meter else None
                values = [round(value, 7) for value in answer["seconds"]]
                samples.add(
                    "turn",
                    mode=mode,
                    round=number,
                    cell=cell,
                    peer=name,
                    seconds=values,
                    spent=clock() - begin,
                    **({} if energy is None else {"joules": round(energy, 4)}),
                )
        if watch is not None:
            samples.add("block", mode=mode, round=number, **watch.end())
    for name in list(running):
        memory = ask(name, "memory")
        if memory:
            samples.add("memory", peer=name, mode=mode, **memory)
