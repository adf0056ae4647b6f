"""Choose a remedy for each layer, so that the graph takes the least time and passes its gate.

The damage of every layer alone was measured, and the errors of layers add up like noise, by their squares. For any
damage that the whole graph may do there is a fastest plan (`find_fastest`). How much it may do is found by evaluating
plans: the allowed damage is narrowed down, from both sides, between one whose drift is past its limits and one whose
drift is within them. Where labels flip nevertheless, it goes on down until the gate passes, and then up again.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay_export.errors import ParityError
from assay_export.variants.int8 import gate
from assay_export.variants.int8.gate import Limits
from assay_export.variants.int8.kernels.remedies import Line, Remedy
from assay_export.variants.int8.linear import Recipe

__all__ = ["Plan", "find_fastest", "search"]

# An evaluation writes and runs the whole graph.
MOST_EVALUATIONS = 12
# The allowed damage is narrowed down to this ratio between what fails and what passes.
CLOSE_ENOUGH = 1.08
# Where labels flip although the drift is within its limits, the next plan may do this much of the damage.
LESS_DAMAGE = 0.7
# Halvings of the price of damage; enough for any ratio of float64.
PRICE_STEPS = 200

Evaluate = Callable[[Mapping[str, Recipe]], dict[str, Any]]


@dataclass(frozen=True)
class Plan:
    """A remedy for each line: its place in the line's remedies."""

    lines: Sequence[Line]
    steps: tuple[int, ...]

    @property
    def remedies(self) -> list[Remedy]:
        return [line.remedies[step] for line, step in zip(self.lines, self.steps, strict=True)]

    @property
    def recipes(self) -> dict[str, Recipe]:
        return {line.name: remedy.recipe for line, remedy in zip(self.lines, self.remedies, strict=True)}

    @property
    def damage(self) -> float:
        """The expected damage of all layers together."""
        return math.hypot(*(line.damage_of(r) for line, r in zip(self.lines, self.remedies, strict=True)))

    @property
    def time(self) -> float:
        return sum(remedy.time for remedy in self.remedies)

    @property
    def time_over_plain(self) -> float:
        """The time relative to the same graph with the first remedy everywhere."""
        return self.time / sum(line.remedies[0].time for line in self.lines)

    @property
    def has_int8(self) -> bool:
        return any(remedy.recipe.kind == "int8" and remedy.time > 0 for remedy in self.remedies)


def find_fastest(lines: Sequence[Line], allowed: float) -> Plan:
    """Find a plan whose expected damage is at most `allowed` and whose time is about the least.

    At a price for squared damage every line has one best remedy (Lagrange); the price is the least that keeps the whole
    within what is allowed. Remedies are few, so that
    some of the allowed damage is left over: it is spent on single lines.
    """

    def at(price: float) -> Plan:
        costs = ([r.time + price * line.damage_of(r) ** 2 for r in line.remedies] for line in lines)
        return Plan(lines, tuple(cost.index(min(cost)) for cost in costs))

    if at(0.0).damage <= allowed:
        return at(0.0)
    low, high = 1e-30, 1e30
    for _ in range(PRICE_STEPS):
        middle = math.sqrt(low * high)
        if at(middle).damage <= allowed:
            high = middle
        else:
            low = middle
        if high / low < 1 + 1e-6:
            break
    plan = at(high)
    if plan.damage > allowed:  # not even at the highest price
        plan = Plan(lines, tuple(len(line.remedies) - 1 for line in lines))
    return _spend_the_rest(plan, allowed)


def _spend_the_rest(plan: Plan, allowed: float) -> Plan:
    """Choose faster remedies for single lines, those that save most first, while the damage stays within `allowed`."""
    steps = list(plan.steps)
    squares = [line.damage_of(remedy) ** 2 for line, remedy in zip(plan.lines, plan.remedies, strict=True)]
    moves = [
        (line.remedies[steps[index]].time - line.remedies[step].time, index, step)
        for index, line in enumerate(plan.lines)
        for step in range(steps[index])
    ]
    for _, index, step in sorted(moves, key=lambda move: -move[0]):
        line = plan.lines[index]
        square = line.damage_of(line.remedies[step]) ** 2
        if step < steps[index] and math.sqrt(sum(squares) - squares[index] + square) <= allowed:
            steps[index], squares[index] = step, square
    return Plan(plan.lines, tuple(steps))


def search(
    lines: Sequence[Line], on_search_rows: Evaluate, on_held_out_rows: Evaluate, limits: Limits
) -> tuple[Plan, dict[str, Any]]:
    """Find the fastest plan that passes the gate on the held-out rows.

    Drift steers the search, because one flipped label among a hundred rows is chance. Flips decide only whether a plan
    whose drift is within its limits passes the gate.

    Returns:
        The plan, and its report on the held-out rows.

    Raises:
        ParityError: No plan with a layer in int8 passes.
    """
    bounds = _Bounds()
    best: tuple[Plan, dict[str, Any]] | None = None
    closest: tuple[float, dict[str, Any]] | None = None
    seen: set[tuple[int, ...]] = set()
    allowed = math.inf
    for _ in range(MOST_EVALUATIONS):
        plan = find_fastest(lines, allowed)
        if plan.steps in seen or not plan.has_int8:
            break
        seen.add(plan.steps)
        report = on_search_rows(plan.recipes)
        drift = gate.excess(report, limits, flips=False)
        passes = False
        if drift <= 1:
            report = on_held_out_rows(plan.recipes)
            drift = max(drift, gate.excess(report, limits, flips=False))
            passes = gate.excess(report, limits) <= 1
        if passes and (best is None or plan.time < best[0].time):
            best = plan, report
        if closest is None or gate.excess(report, limits) < closest[0]:
            closest = gate.excess(report, limits), report
        bounds.add(plan.damage, drift, passes)
        if (following := bounds.propose()) is None:
            break
        allowed = following
    if best is None:
        raise _resists(lines, closest[1] if closest else None)
    return best


class _Bounds:
    """What evaluations say about the damage that the gate allows, and what to try next."""

    def __init__(self) -> None:
        self._too_much = math.inf  # the least damage whose drift is past its limits
        self._past = math.inf  # that drift, relative to its limits
        self._within = 0.0  # the greatest damage whose drift is within them
        self._flipping: list[float] = []  # such damages where too many labels flip
        self._passing = 0.0  # the greatest damage that passes the whole gate

    def add(self, damage: float, drift: float, passes: bool) -> None:
        """Record an evaluated plan: its expected damage, its drift over the limits, whether it passes the gate."""
        if drift > 1:
            if damage < self._too_much:
                self._too_much, self._past = damage, drift
            return
        self._within = max(self._within, damage)
        if passes:
            self._passing = max(self._passing, damage)
        else:
            self._flipping.append(damage)

    def propose(self) -> float | None:
        """Return the damage to allow next, or None if nothing is left to find."""
        if not self._within:  # damage and drift go together: aim at the limit
            return self._too_much * max(min(0.95 / self._past, 0.9), 0.1)
        if math.isfinite(self._too_much) and self._too_much / self._within >= CLOSE_ENOUGH:
            return math.sqrt(self._within * self._too_much)
        if not self._passing:  # only flips are past their limit: fewer come with less damage
            return min(self._flipping) * LESS_DAMAGE
        above = min((damage for damage in self._flipping if damage > self._passing), default=self._passing)
        return math.sqrt(above * self._passing) if above / self._passing >= CLOSE_ENOUGH else None


def _resists(lines: Sequence[Line], report: dict[str, Any] | None) -> ParityError:
    worst = [line.name for line in sorted(lines, key=lambda line: -line.damage)[:3]]
    reached = f"; closest: {gate.describe(report)}" if report else ""
    return ParityError(
        f"no int8 graph passes the gate{reached}. The layers that do the most damage are {', '.join(worst)}. Nothing "
        "was written: leave int8 out (--variants fp32), or allow more with --max-drift and --max-flips"
    )
