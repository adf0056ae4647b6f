"""What samples mean: percentiles, ratios taken within a round, ranks, and when two peers are told apart."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

Rounds = Mapping[int, Sequence[float]]  # by round, the seconds of every call of one peer in one cell


class Ratio(NamedTuple):
    """The median over rounds of one peer's time over another's, and its least and greatest."""

    median: float
    least: float
    greatest: float

    @property
    def tie(self) -> bool:
        """Whether some round had the one ahead and some round the other, so that neither is the faster."""
        return self.least <= 1 <= self.greatest

    def __str__(self) -> str:
        return f"{shown(self.median)} ({shown(self.least)}..{shown(self.greatest)})"


def shown(value: float) -> str:
    """Two decimals, and two digits that count where there are none among them."""
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def of_rounds(by_round: Sequence[float]) -> Ratio:
    """Of the ratios of each round.

    Raises:
        ValueError: there are none.
    """
    if not by_round:
        raise ValueError("no round has both peers")
    return Ratio(statistics.median(by_round), min(by_round), max(by_round))


def ratio(times: Sequence[float], against: Sequence[float]) -> Ratio:
    """Of two peers' times by round, those of one round being divided by each other.

    Raises:
        ValueError: the numbers of rounds differ, or there are none.
    """
    return of_rounds([ours / theirs for ours, theirs in zip(times, against, strict=True)])


def round_times(rounds: Rounds) -> dict[int, float]:
    """One number a round: the median of its calls, in seconds."""
    return {number: statistics.median(calls) for number, calls in rounds.items()}


def round_ratio(rounds: Rounds, against: Rounds) -> Ratio | None:
    """The ratio over the rounds that both took part in, or None where there is none: an interrupted round drops out."""
    ours, theirs = round_times(rounds), round_times(against)
    shared = sorted(ours.keys() & theirs.keys())
    return ratio([ours[number] for number in shared], [theirs[number] for number in shared]) if shared else None


def percentile(rounds: Rounds, share: float) -> float:
    """The percentile of every call of every round, in seconds: linear between samples."""
    return float(np.percentile([value for calls in rounds.values() for value in calls], share))


def geometric_mean(values: Iterable[float]) -> float:
    """Of positive numbers, such as ratios of several cells."""
    logarithms = [math.log(value) for value in values]
    return math.exp(statistics.fmean(logarithms))


def over_cells(ours: Mapping[str, Rounds], theirs: Mapping[str, Rounds]) -> Ratio | None:
    """One peer's time over another's: for each round the geometric mean over the cells that both have. None where
    they share no round of any cell."""
    means: dict[int, list[float]] = {}
    for cell in ours.keys() & theirs.keys():
        mine, others = round_times(ours[cell]), round_times(theirs[cell])
        for number in mine.keys() & others.keys():
            means.setdefault(number, []).append(mine[number] / others[number])
    # A round that an interruption cut short holds other cells than the rest, and its mean is of something else.
    most = max(map(len, means.values()), default=0)
    whole = [geometric_mean(values) for values in means.values() if len(values) == most]
    return of_rounds(whole) if whole else None


def ranking(peers: Mapping[str, Mapping[str, Rounds]]) -> dict[str, int]:
    """Ranks from 1, fastest first, by `over_cells`. Peers that tie with the first of a rank share it."""
    if not peers:
        return {}
    first = next(iter(peers))
    score = {name: over_cells(cells, peers[first]) for name, cells in peers.items()}
    order = sorted((name for name, value in score.items() if value), key=lambda name: score[name].median)  # type: ignore[union-attr]
    ranks: dict[str, int] = {}
    leader = ""
    for position, name in enumerate(order, start=1):
        against = over_cells(peers[name], peers[leader]) if leader else None
        if against is None or not against.tie:
            leader, rank = name, position
        ranks[name] = rank
    return ranks


def middle(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)
