"""Turns and ratios: how implementations are compared on a machine whose speed drifts.

Milliseconds of two runs cannot be compared on a shared machine. Within a round every contender gets one turn, the
first of one round being the last of the next, and a ratio divides two times of the same round.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "Call",
    "Ids",
    "Ratio",
    "Turn",
    "from_callers",
    "one_at_a_time",
    "ratio",
    "rotate",
    "round_robin",
    "summarise",
]

Ids = npt.NDArray[np.int64]
"""Token ids [rows, sequence]."""
Call = Callable[[Ids], object]
"""Runs one input and returns when the answer is there."""
Turn = Callable[[Sequence[Ids]], float]
"""Runs several inputs and returns the seconds per input."""


class Ratio(NamedTuple):
    """One contender's time over another's: the median over the rounds, the least and the greatest."""

    median: float
    least: float
    greatest: float

    @property
    def tie(self) -> bool:
        """Whether each was ahead in some round, so that neither is the faster."""
        return self.least <= 1 <= self.greatest

    def __str__(self) -> str:
        return f"{_shorten(self.median)} ({_shorten(self.least)}..{_shorten(self.greatest)})"


def _shorten(value: float) -> str:
    """Two decimals, or two significant digits below 0.1."""
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def summarise(by_round: Sequence[float]) -> Ratio:
    """Summarise the ratios of each round.

    Raises:
        ValueError: There are none.
    """
    if not by_round:
        raise ValueError("the two contenders share no round")
    return Ratio(statistics.median(by_round), min(by_round), max(by_round))


def ratio(times: Sequence[float], against: Sequence[float]) -> Ratio:
    """Divide two contenders' times, round by round.

    Raises:
        ValueError: The numbers of rounds differ, or there are no rounds.
    """
    return summarise([ours / theirs for ours, theirs in zip(times, against, strict=True)])


def rotate(names: Sequence[str], round_number: int) -> Iterator[str]:
    """Yield the names in the order of a round: the first of one round is the last of the next."""
    for position in range(len(names)):
        yield names[(position + round_number) % len(names)]


def round_robin(turns: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Give every contender one turn a round.

    Args:
        turns: By name, a function that takes one turn and returns its time, in any unit.
        rounds: How many rounds to count. One turn of each contender before them warms up and is not counted.

    Returns:
        By name, the times [rounds].
    """
    for turn in turns.values():
        turn()
    names = list(turns)
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        for name in rotate(names, number):
            times[name].append(turns[name]())
    return times


def one_at_a_time(call: Call) -> Turn:
    """Make a turn that runs its inputs one after the other and takes the median.

    A first call, which is not timed, wakes threads and caches.
    """

    def turn(inputs: Sequence[Ids]) -> float:
        call(inputs[0])
        times = []
        for ids in inputs:
            start = time.perf_counter()
            call(ids)
            times.append(time.perf_counter() - start)
        return float(np.median(times))

    return turn


def from_callers(call: Call, callers: int) -> Turn:
    """Make a turn in which `callers` threads share the inputs: the time of all over their number.

    One input each, which is not timed, comes first.
    """
    pool = ThreadPoolExecutor(callers)

    def turn(inputs: Sequence[Ids]) -> float:
        list(pool.map(call, inputs[:callers]))
        start = time.perf_counter()
        list(pool.map(call, inputs))
        return (time.perf_counter() - start) / len(inputs)

    return turn
