"""Counts rows in bins, with a few rows of each as examples: memory does not grow with the rows."""

import bisect
import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Bin", "Bins", "Example", "make_lengths", "make_named", "make_ranges"]

EXAMPLES = 3
"""Examples that a bin keeps."""

_SEED = 0
_LONGEST = 24  # the last bin of lengths is for texts from 2**23 characters on


class Example(NamedTuple):
    """A row: its place in the output, its texts by field, and its answers by column."""

    where: str
    texts: tuple[tuple[str, str], ...]
    answers: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Bin:
    """How many rows there are with a name or in a range, and a few of them, each as likely as any other."""

    name: str
    count: int = 0
    examples: list[Example] = field(default_factory=list)


class Bins:
    """Bins under one title. The examples are chosen by a generator with a fixed seed: a report can be repeated."""

    def __init__(self, title: str, bins: Sequence[Bin], edges: Sequence[float] = ()) -> None:
        """Take the bins; of ranges also their lower `edges`, of which the first is ignored."""
        self.title = title
        self.bins = list(bins)
        self._edges = list(edges)
        self._places = {each.name: place for place, each in enumerate(self.bins)}
        self._random = random.Random(_SEED)

    @property
    def is_ranges(self) -> bool:
        """Whether the bins are ranges of numbers, and not names."""
        return bool(self._edges)

    @property
    def total(self) -> int:
        """The rows in all bins. A row with several labels counts in several."""
        return sum(each.count for each in self.bins)

    def add_number(self, value: float, example: Example | None) -> None:
        """Count a number in its range."""
        self._add(max(bisect.bisect_right(self._edges, value) - 1, 0), example)

    def add_name(self, name: str, example: Example | None) -> None:
        """Count a row in the bin of that name; one that has none gets it."""
        if name not in self._places:
            self._places[name] = len(self.bins)
            self.bins.append(Bin(name))
        self._add(self._places[name], example)

    def _add(self, place: int, example: Example | None) -> None:
        found = self.bins[place]
        found.count += 1
        if example is None:
            return
        if len(found.examples) < EXAMPLES:
            found.examples.append(example)
        elif (chosen := self._random.randrange(found.count)) < EXAMPLES:
            found.examples[chosen] = example


def make_named(title: str, names: Sequence[str]) -> Bins:
    """Return a bin for each of `names`."""
    return Bins(title, [Bin(name) for name in names])


def make_ranges(title: str, low: float, high: float, count: int) -> Bins:
    """Return `count` equal ranges of numbers from `low` to `high`; what lies beyond is in the first or the last."""
    if not low < high:
        return Bins(title, [Bin(f"{low:.4g}")], [low])
    edges = [low + (high - low) * number / count for number in range(count + 1)]
    names = [f"{start:.4g} to {end:.4g}" for start, end in itertools.pairwise(edges)]
    return Bins(title, [Bin(name) for name in names], edges[:-1])


def make_lengths(title: str) -> Bins:
    """Return ranges for lengths of texts, each twice as wide as the one before."""
    edges = [0, *(1 << power for power in range(_LONGEST))]
    names = ["0", "1", *(f"{1 << power:,} to {(1 << power + 1) - 1:,}" for power in range(1, _LONGEST - 1))]
    return Bins(title, [Bin(name) for name in [*names, f"{1 << _LONGEST - 1:,} and more"]], [-math.inf, *edges[1:]])
