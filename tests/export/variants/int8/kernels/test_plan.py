"""The search for the fastest plan that passes the gate, on layers whose damage is known."""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay_export.errors import ParityError
from assay_export.variants.int8.gate import Limits
from assay_export.variants.int8.kernels.plan import Plan, find_fastest, search
from assay_export.variants.int8.kernels.remedies import Line, Remedy
from assay_export.variants.int8.linear import Recipe

LIMITS = Limits(max_flips=0.005, max_drift=0.005)


def line(name: str, damage: float, size: float = 1.0) -> Line:
    """Four remedies: plain, by groups, with float32 columns, float32."""
    remedies = [
        Remedy(Recipe(), 0.04, size),
        Remedy(Recipe(group=128), 0.02, 1.05 * size),
        Remedy(Recipe(group=128, columns=(1, 2)), 0.008, 1.2 * size),
        Remedy(Recipe("fp32"), 0.0, 4 * size),
    ]
    return Line(name, remedies, damage)


@st.composite
def some_lines(draw: st.DrawFn) -> list[Line]:
    damages = draw(st.lists(st.floats(0, 2), min_size=1, max_size=12))
    sizes = draw(st.lists(st.sampled_from([1.0, 3.0, 4.0]), min_size=len(damages), max_size=len(damages)))
    return [line(f"layer.{i}", damage, size) for i, (damage, size) in enumerate(zip(damages, sizes, strict=True))]


@given(some_lines(), st.floats(1e-4, 10))
def test_a_plan_stays_within_the_damage_that_is_allowed(lines: list[Line], allowed: float) -> None:
    assert find_fastest(lines, allowed).damage <= allowed


@given(some_lines(), st.floats(1e-4, 10))
def test_no_single_layer_of_a_plan_could_be_faster(lines: list[Line], allowed: float) -> None:
    plan = find_fastest(lines, allowed)
    for index, chosen in enumerate(plan.steps):
        for step in range(chosen):
            assert Plan(lines, (*plan.steps[:index], step, *plan.steps[index + 1 :])).damage > allowed


@given(some_lines())
def test_more_allowed_damage_never_takes_much_more_time(lines: list[Line]) -> None:
    times = [find_fastest(lines, allowed).time for allowed in (0.01, 0.1, 1.0, math.inf)]
    largest = max(remedy.time for one in lines for remedy in one.remedies)
    assert all(later <= earlier + largest for earlier, later in itertools.pairwise(times))


class Graph:
    """Stands for evaluations: drift is the damage of a plan, scaled and distorted."""

    def __init__(
        self, lines: list[Line], drift_per_damage: float, held_out: float = 1.0, flips_above: float = math.inf
    ) -> None:
        self.lines, self.factor, self.held_out, self.flips_above = lines, drift_per_damage, held_out, flips_above
        self.evaluations: list[float] = []

    def on_search_rows(self, recipes: Mapping[str, Recipe]) -> dict[str, Any]:
        return self._report(recipes, self.factor, flips_above=0.0)

    def on_held_out_rows(self, recipes: Mapping[str, Recipe]) -> dict[str, Any]:
        return self._report(recipes, self.factor * self.held_out, self.flips_above)

    def _report(self, recipes: Mapping[str, Recipe], factor: float, flips_above: float) -> dict[str, Any]:
        steps = tuple([r.recipe for r in one.remedies].index(recipes[one.name]) for one in self.lines)
        drift = factor * Plan(self.lines, steps).damage
        self.evaluations.append(drift)
        return {
            "rows": 100,
            "flips": 0.02 if drift > flips_above else 0.0,
            "mean_abs_delta": drift,
            "p99_abs_delta": 4 * drift,
            "max_abs_delta": 8 * drift,
            "worst_row": 0,
        }


def test_a_graph_that_passes_at_once_is_left_plain() -> None:
    lines = [line("a", 0.1), line("b", 0.2)]
    graph = Graph(lines, 0.01)
    plan, report = search(lines, graph.on_search_rows, graph.on_held_out_rows, LIMITS)
    assert plan.time_over_plain == 1.0
    assert len(graph.evaluations) == 2
    assert report["mean_abs_delta"] <= LIMITS.max_drift


def test_the_worst_layers_are_mended_first_and_the_others_stay_plain() -> None:
    lines = [line("outlier", 5.0), *(line(f"quiet.{index}", 0.02) for index in range(10))]
    graph = Graph(lines, 0.01)
    plan, _ = search(lines, graph.on_search_rows, graph.on_held_out_rows, LIMITS)
    assert [remedy.recipe for remedy in plan.remedies[1:]] == [one.remedies[0].recipe for one in lines[1:]]
    assert plan.remedies[0].recipe.kind == "fp32" or plan.remedies[0].recipe.columns


def test_flips_among_the_search_rows_do_not_steer() -> None:
    lines = [line("a", 0.1), line("b", 0.2)]
    graph = Graph(lines, 0.01)  # every report on search rows has 2 % flips, four times the limit
    plan, _ = search(lines, graph.on_search_rows, graph.on_held_out_rows, LIMITS)
    assert plan.time_over_plain == 1.0


def test_flips_beside_a_drift_within_its_limits_lead_to_less_damage_and_back_up() -> None:
    lines = [line(f"layer.{index}", 0.1 + 0.01 * index) for index in range(40)]
    graph = Graph(lines, 0.004, flips_above=0.002)  # drift passes up to 0.005
    plan, report = search(lines, graph.on_search_rows, graph.on_held_out_rows, LIMITS)
    assert report["flips"] == 0
    assert 0.0017 < report["mean_abs_delta"] <= 0.002
    assert max(graph.evaluations) > LIMITS.max_drift  # drift alone was narrowed down first
    assert plan.has_int8


@given(some_lines(), st.floats(0.001, 0.1), st.floats(0.5, 1.5))
def test_what_is_found_passes_on_the_held_out_rows(lines: list[Line], factor: float, held_out: float) -> None:
    graph = Graph(lines, factor, held_out)
    try:
        plan, report = search(lines, graph.on_search_rows, graph.on_held_out_rows, LIMITS)
    except ParityError:
        assert find_fastest(lines, 0.0).damage == 0  # only float32 was left
        return
    assert report["mean_abs_delta"] <= LIMITS.max_drift
    assert plan.has_int8


def test_the_search_walks_back_to_a_faster_plan_after_it_has_passed() -> None:
    lines = [line(f"layer.{index}", 0.1 + 0.01 * index) for index in range(40)]
    graph = Graph(lines, 0.004)  # plain int8 is at half as much again as the limit
    plan, report = search(lines, graph.on_search_rows, graph.on_held_out_rows, LIMITS)
    assert report["mean_abs_delta"] > 0.85 * LIMITS.max_drift
    passing = [drift for drift in graph.evaluations if drift <= LIMITS.max_drift]
    assert max(passing) == report["mean_abs_delta"]
    assert plan.time_over_plain < 1.1


def test_where_only_float32_would_pass_the_refusal_names_the_worst_layers() -> None:
    lines = [line("bad", 500.0), line("worse", 900.0), line("fine", 1.0)]
    graph = Graph(lines, 10.0)
    with pytest.raises(ParityError, match=r"no int8 graph passes the gate.*worse, bad, fine.*--max-drift"):
        search(lines, graph.on_search_rows, graph.on_held_out_rows, LIMITS)
