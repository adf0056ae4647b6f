"""Spends the cheapest remedies on the worst layers until the gate holds.

Every layer begins with the smoothing that costs nothing at run time. If the gate does not hold, layers are ranked by
the damage that each does alone, and the worst is given its next remedy: an explicit division of its input, a few input
columns in float32, weights quantised block by block, and in the end float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ParityError
from . import gate
from .gate import Limits
from .linear import Recipe

# The rows of the search must pass with room to spare, since other rows decide.
MARGIN = 0.7
# A remedy has to take away this share of the error to be worth its time.
MIN_GAIN = 0.3
# Block-wise scales tame outliers across input channels; what they leave is taken to be this part of the plain error.
BLOCKWISE_ERROR = 0.25


@dataclass
class Ladder:
    """One layer's remedies, cheapest first, each with its relative output error, and where on it the layer stands."""

    remedies: list[tuple[Recipe, float]]
    step: int = 0
    damage: float = math.nan  # of the first remedy, alone

    @property
    def recipe(self) -> Recipe:
        return self.remedies[self.step][0]

    @property
    def remaining_damage(self) -> float:
        first = self.remedies[0][1]
        return self.damage * self.remedies[self.step][1] / first if first else 0.0

    @property
    def is_exhausted(self) -> bool:
        return self.step == len(self.remedies) - 1

    @classmethod
    def of(cls, candidates: list[tuple[Recipe, float]]) -> Ladder:
        """The candidates that are worth their place, then block-wise weights and float32."""
        kept = [candidates[0]]
        for recipe, error in candidates[1:]:
            if error < (1 - MIN_GAIN) * kept[-1][1]:
                kept.append((recipe, error))
        blockwise = kept[0][1] * BLOCKWISE_ERROR
        base = Recipe()
        if blockwise < kept[-1][1]:
            kept.append((base.escalated("blockwise"), blockwise))
        return cls([*kept, (base.escalated("fp32"), 0.0)])


Evaluate = Callable[[Mapping[str, Recipe]], dict[str, Any]]


def search(
    ladders: Mapping[str, Ladder],
    on_search_rows: Evaluate,
    on_held_out_rows: Evaluate,
    rank_damage: Callable[[], Mapping[str, float]],
    limits: Limits,
) -> dict[str, Any]:
    """Moves the ladders until the gate holds on the held-out rows, and returns the report on these.

    Raises:
        ParityError: it does not hold at any remedy; names the layers that resist and the best point reached.
    """

    def recipes() -> dict[str, Recipe]:
        return {name: ladder.recipe for name, ladder in ladders.items()}

    target, best, ranked = MARGIN, math.inf, False
    best_report: dict[str, Any] = {}
    while True:
        report = on_search_rows(recipes())
        open_ladders = [ladder for ladder in ladders.values() if not ladder.is_exhausted]
        # Of a hundred rows one flip is more than the gate's half per cent: the held-out rows decide whether it matters.
        one_flip = 1 / (report["rows"] * MARGIN)
        on_few_rows = Limits(max(limits.max_flips, one_flip), limits.max_drift)
        if gate.excess(report, on_few_rows) <= target + 1e-9 or not open_ladders:
            held_out = on_held_out_rows(recipes())
            past = gate.excess(held_out, limits)
            if past <= 1:
                return held_out
            if past < best or not best_report:
                best, best_report = past, held_out
            target *= MARGIN
        if not ranked:
            for name, damage in rank_damage().items():
                ladders[name].damage = damage
            ranked = True
        if not open_ladders:
            raise _resists(ladders, best_report)
        # A tenth at a time: each round costs an evaluation.
        open_ladders.sort(key=lambda ladder: -ladder.remaining_damage)
        for ladder in open_ladders[: max(1, len(ladders) // 10)]:
            ladder.step += 1


def _resists(ladders: Mapping[str, Ladder], report: dict[str, Any]) -> ParityError:
    worst = sorted(ladders, key=lambda name: -ladders[name].damage)[:3]
    return ParityError(
        f"no int8 graph passes the gate; best point reached: {gate.describe(report)}. The layers that resist most are "
        f"{', '.join(worst)}. Nothing was written: export --variants fp32, or allow more with --max-drift and "
        "--max-flips"
    )
