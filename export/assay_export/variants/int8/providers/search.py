"""Search a recipe for each layer, so that the gate passes and few layers leave plain int8.

Every layer starts with the smoothing that costs nothing at run time. If the gate does not pass, layers are ranked by
the damage that each does alone, and the worst layer moves on to its next recipe: a division of its input, a few input
columns in float32, weights quantised block by block, and finally float32.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay_export.errors import ParityError
from assay_export.variants.int8 import gate
from assay_export.variants.int8.gate import Limits
from assay_export.variants.int8.linear import Recipe

__all__ = ["Ladder", "search"]

# The search rows must pass with this margin, because the held-out rows decide.
MARGIN = 0.7
# One step reduces the expected damage to at least the first and at most the second of these fractions.
FASTEST, SLOWEST = 0.2, 0.8
# A recipe must remove at least this share of the error to be worth its time.
MIN_GAIN = 0.3


@dataclass
class Ladder:
    """The recipes that one layer can move through, and the one that it has.

    Attributes:
        remedies: The recipes with their relative output errors, cheapest first.
        step: The index of the layer's current recipe.
        damage: Mean |delta logit| with only this layer in int8, by its first recipe; NaN until it is measured.
    """

    remedies: list[tuple[Recipe, float]]
    step: int = 0
    damage: float = math.nan

    @property
    def recipe(self) -> Recipe:
        """The layer's current recipe."""
        return self.remedies[self.step][0]

    @property
    def remaining_damage(self) -> float:
        """The damage expected of the current recipe, in proportion to its error."""
        first = self.remedies[0][1]
        return self.damage * self.remedies[self.step][1] / first if first else 0.0

    @property
    def is_exhausted(self) -> bool:
        """Whether there is no further recipe."""
        return self.step == len(self.remedies) - 1

    @classmethod
    def of(cls, candidates: list[tuple[Recipe, float]]) -> "Ladder":
        """Make a ladder of the candidates that are worth their time, ending in float32."""
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
    """Move the layers through their recipes until the gate passes on the held-out rows.

    Args:
        ladders: The recipes of each layer by the layer's name; their steps are changed in place.
        on_search_rows: Writes the graph with the given recipes, and returns its gate report on the search's rows.
        on_held_out_rows: Does the same on the rows that are held out for the gate.
        rank_damage: Measures the damage that each layer does alone; called at most once.
        limits: What the gate allows.
        variant: The variant's name, for messages.

    Returns:
        The report on the held-out rows.

    Raises:
        ParityError: No graph with a layer in int8 passes. The message names the layers that do the most damage and the
            closest report.
    """

    def recipes() -> dict[str, Recipe]:
        return {name: ladder.recipe for name, ladder in ladders.items()}

    target, ranked = MARGIN, False
    points: list[tuple[float, dict[str, Any]]] = []  # the excess and the report of each evaluation
    while True:
        report = on_search_rows(recipes())
        has_int8 = any(ladder.recipe.kind != "fp32" for ladder in ladders.values())
        open_ladders = [ladder for ladder in ladders.values() if not ladder.is_exhausted]
        # One flip in a hundred rows exceeds the gate's half per cent, so the held-out rows decide whether it matters.
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
            raise _make_error(ladders, best, variant)
        _reduce_damage(open_ladders, min(max(math.sqrt(target / past), FASTEST), SLOWEST))


def _reduce_damage(ladders: Sequence[Ladder], by: float) -> None:
    """Move the worst layers to their next recipes until the expected damage of all layers is `by` times what it was.

    Errors of layers add up like noise, as the root of the sum of their squares. `by` aims half the way to the gate:
    each step costs an evaluation, but a recipe too many makes every answer slower.
    """
    before = _expected_damage(ladders)
    while True:
        worst = max(ladders, key=lambda ladder: (not ladder.is_exhausted, ladder.remaining_damage))
        worst.step += 1
        if _expected_damage(ladders) <= by * before or all(ladder.is_exhausted for ladder in ladders):
            return


def _expected_damage(ladders: Sequence[Ladder]) -> float:
    return math.hypot(*(ladder.remaining_damage for ladder in ladders))


def _make_error(ladders: Mapping[str, Ladder], report: dict[str, Any], variant: str) -> ParityError:
    worst = sorted(ladders, key=lambda name: -ladders[name].damage)[:3]
    return ParityError(
        f"no {variant} graph passes the gate; the closest has {gate.describe(report)}. The layers that do the most "
        f"damage are {', '.join(worst)}. Nothing was written: leave {variant} out (--variants fp32), or raise the "
        "limits with --max-drift and --max-flips"
    )
