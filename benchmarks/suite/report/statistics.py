"""Percentiles, ratios within rounds, and ranks."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from benchmarks.timing import Ratio, ratio, summarise

__all__ = [
    "Rounds",
    "compare_cells",
    "compare_rounds",
    "geometric_mean",
    "median",
    "percentile",
    "rank",
    "round_times",
]

Rounds = Mapping[int, Sequence[float]]
"""By round, the seconds of every call of one peer in one cell."""


def round_times(rounds: Rounds) -> dict[int, float]:
    """Return the median of the calls of each round, in seconds."""
    return {number: statistics.median(calls) for number, calls in rounds.items()}


def compare_rounds(rounds: Rounds, against: Rounds) -> Ratio | None:
    """Return the ratio over the rounds that both peers took part in, or None if there are none."""
    ours, theirs = round_times(rounds), round_times(against)
    shared = sorted(ours.keys() & theirs.keys())
    return ratio([ours[number] for number in shared], [theirs[number] for number in shared]) if shared else None


def percentile(rounds: Rounds, share: float) -> float:
    """Return a percentile of all calls of all rounds, in seconds, linear between samples."""
    return float(np.percentile([value for calls in rounds.values() for value in calls], share))


def geometric_mean(values: Iterable[float]) -> float:
    """Return the geometric mean of positive numbers, such as the ratios of several cells."""
    logarithms = [math.log(value) for value in values]
    return math.exp(statistics.fmean(logarithms))


def compare_cells(ours: Mapping[str, Rounds], theirs: Mapping[str, Rounds]) -> Ratio | None:
    """Return one peer's time over another's: per round the geometric mean over the cells that both measured.

    Returns:
        None if they share no round of any cell.
    """
    means: dict[int, list[float]] = {}
    for cell in ours.keys() & theirs.keys():
        mine, others = round_times(ours[cell]), round_times(theirs[cell])
        for number in mine.keys() & others.keys():
            means.setdefault(number, []).append(mine[number] / others[number])
    # A round that was interrupted has fewer cells than the others, and its mean cannot be compared with theirs.
    most = max(map(len, means.values()), default=0)
    whole = [geometric_mean(values) for values in means.values() if len(values) == most]
    return summarise(whole) if whole else None


def rank(peers: Mapping[str, Mapping[str, Rounds]]) -> dict[str, int]:
    """Rank the peers from 1, fastest first, by `compare_cells`. Peers that tie with the first of a rank share it."""
    if not peers:
        return {}
    first = next(iter(peers))
    ratios = {name: compare_cells(cells, peers[first]) for name, cells in peers.items()}
    medians = {name: against_first.median for name, against_first in ratios.items() if against_first is not None}
    order = sorted(medians, key=lambda name: medians[name])
    ranks: dict[str, int] = {}
    leader = ""
    for position, name in enumerate(order, start=1):
        against = compare_cells(peers[name], peers[leader]) if leader else None
        if against is None or not against.tie:
            leader, current = name, position
        ranks[name] = current
    return ranks


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)
