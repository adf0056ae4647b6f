"""Spends the cheapest remedies on the worst layers until the gate holds.

Every layer begins with the smoothing that costs nothing at run time. If the gate does not hold, layers are ranked by
the damage that each does alone, and the worst is given its next remedy: an explicit division of its input, a few input
columns in float32, weights quantised block by block, and in the end float32.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay_export.errors import ParityError
from assay_export.variants.int8 import gate
from assay_export.variants.int8.gate import Limits
from assay_export.variants.int8.linear import Recipe

# The rows of the search must pass with room to spare, since other rows decide.
MARGIN = 0.7
# In one step, however far or near the gate is, the damage expected is brought to between these parts of what it was.
FASTEST, SLOWEST = 0.2, 0.8
# A remedy has to take away this share of the error to be worth its time.
MIN_GAIN = 0.3


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
    def of(cls, candidates: list[tuple[Recipe, float]]) -> "Ladder":
        """The candidates that are worth their place, and float32."""
        kept = [candidates[0]]
        for recipe, error in candidates[1:]:
            if error < (1 - MIN_GAIN) * kept[-1][1]:
                kept.append((recipe, error))
        exact = [] if kept[-1][0].kind == "fp32" else [(Recipe("fp32"), 0.0)]
        return cls([*kept, *exact])


Evaluate = Callable[[Mapping[str, Recipe]], dict[str, Any]]


def search(
    ladders: Mapping[str, Ladder],
    on_search_rows: Evaluate,
    on_held_out_rows: Evaluate,
    rank_damage: Callable[[], Mapping[str, float]],
    limits: Limits,
    variant: str = "int8",
) -> dict[str, Any]:
    """Moves the ladders until the gate holds on the held-out rows, and returns the report on these.

    Raises:
        ParityError: it does not hold while any layer is left in int8; names the layers that resist and the best point
            reached before.
    """

    def recipes() -> dict[str, Recipe]:
        return {name: ladder.recipe for name, ladder in ladders.items()}

    target, ranked = MARGIN, False
    points: list[tuple[float, dict[str, Any]]] = []  # of every evaluation: how far past the gate, and its report
    while True:
        report = on_search_rows(recipes())
        has_int8 = any(ladder.recipe.kind != "fp32" for ladder in ladders.values())
        open_ladders = [ladder for ladder in ladders.values() if not ladder.is_exhausted]
        # Of a hundred rows one flip is more than the gate's half per cent: the held-out rows decide whether it matters.
        one_flip = 1 / (report["rows"] * MARGIN)
        on_few_rows = Limits(max(limits.max_flips, one_flip), limits.max_drift)
        past = gate.excess(report, on_few_rows)
        points += [(gate.excess(report, limits), report)] if has_int8 else []
        if past <= target + 1e-9 or not open_ladders:
            report = on_held_out_rows(recipes())
            past = gate.excess(report, limits)
            if past <= 1 and has_int8:
                return report
            points += [(past, report)] if has_int8 else []
            target *= MARGIN
        if not ranked:
            for name, damage in rank_damage().items():
                ladders[name].damage = damage
            ranked = True
        if not open_ladders:
            best = min(points, key=lambda point: point[0])[1] if points else report
            raise _resists(ladders, best, variant)
        _mend(open_ladders, min(max(math.sqrt(target / past), FASTEST), SLOWEST))


def _mend(ladders: Sequence[Ladder], by: float) -> None:
    """Gives the worst layers their next remedies until the damage expected of all is `by` times what it was.

    Errors of layers add up like noise, by their squares. `by` aims half the way to the gate: each step costs an
    evaluation, and a remedy too many costs every answer some time.
    """
    before = _expected_damage(ladders)
    while True:
        worst = max(ladders, key=lambda ladder: (not ladder.is_exhausted, ladder.remaining_damage))
        worst.step += 1
        if _expected_damage(ladders) <= by * before or all(ladder.is_exhausted for ladder in ladders):
            return


def _expected_damage(ladders: Sequence[Ladder]) -> float:
    return math.hypot(*(ladder.remaining_damage for ladder in ladders))


def _resists(ladders: Mapping[str, Ladder], report: dict[str, Any], variant: str) -> ParityError:
    worst = sorted(ladders, key=lambda name: -ladders[name].damage)[:3]
    return ParityError(
        f"no {variant} graph passes the gate; best point reached: {gate.describe(report)}. The layers that resist most "
        f"are {', '.join(worst)}. Nothing was written: leave {variant} out (--variants fp32), or allow more with "
        "--max-drift and --max-flips"
    )
