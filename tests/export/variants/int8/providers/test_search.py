"""The search improves the worst layers first, by the cheapest recipe, and says why if no graph passes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from assay_export.errors import ParityError
from assay_export.variants.int8.gate import Limits
from assay_export.variants.int8.linear import Recipe
from assay_export.variants.int8.providers.search import Ladder, search

PLAIN, COLUMNS, FP32 = Recipe(), Recipe("columns", columns=(1, 2)), Recipe("fp32")


def make_ladders(count: int) -> dict[str, Ladder]:
    return {f"layer{i}": Ladder([(PLAIN, 0.1), (COLUMNS, 0.03), (FP32, 0.0)]) for i in range(count)}


def make_report(drift: float) -> dict[str, Any]:
    return {"rows": 300, "flips": 0.0, "mean_abs_delta": drift, "p99_abs_delta": 0.0, "max_abs_delta": drift}


def test_every_layer_stays_plain_int8_if_the_gate_passes_at_once() -> None:
    steps = make_ladders(20)
    passing = make_report(0.001)
    assert (
        search(steps, lambda _: passing, lambda _: passing, lambda: pytest.fail("the layers were ranked"), Limits())
        is passing
    )
    assert all(ladder.recipe is PLAIN for ladder in steps.values())


def test_the_worst_layer_gets_its_next_recipe_and_the_others_stay_plain() -> None:
    steps = make_ladders(10)

    def evaluate(recipes: Mapping[str, Recipe]) -> dict[str, Any]:
        return make_report(0.02 if recipes["layer7"] is PLAIN else 0.001)

    search(steps, evaluate, evaluate, lambda: {name: float(name == "layer7") for name in steps}, Limits())
    assert steps["layer7"].recipe is COLUMNS
    assert [name for name, ladder in steps.items() if ladder.recipe is not PLAIN] == ["layer7"]


def test_far_from_the_gate_many_layers_change_between_two_evaluations() -> None:
    steps, seen = make_ladders(40), []

    def evaluate(recipes: Mapping[str, Recipe]) -> dict[str, Any]:
        left = {PLAIN: 1.0, COLUMNS: 0.3, FP32: 0.0}
        seen.append(0.03 * float(np.mean([left[recipe] ** 2 for recipe in recipes.values()])) ** 0.5)
        return make_report(seen[-1])

    answer = search(steps, evaluate, evaluate, lambda: dict.fromkeys(steps, 1.0), Limits())
    assert answer["mean_abs_delta"] <= Limits().max_drift
    assert len(seen) < 10
    assert seen == sorted(seen, reverse=True)
    assert not all(ladder.is_exhausted for ladder in steps.values())


def test_the_held_out_rows_decide_if_the_search_rows_pass() -> None:
    steps = make_ladders(10)

    def held_out(recipes: Mapping[str, Recipe]) -> dict[str, Any]:
        return make_report(0.02 if recipes["layer3"] is not FP32 else 0.001)

    answer = search(
        steps, lambda _: make_report(0.0), held_out, lambda: {name: float(name == "layer3") for name in steps}, Limits()
    )
    assert answer["mean_abs_delta"] == 0.001
    assert steps["layer3"].recipe is FP32


def test_a_model_that_no_recipe_helps_is_refused_with_the_closest_report_and_the_worst_layers() -> None:
    steps = make_ladders(5)

    def bad(_: Mapping[str, Recipe]) -> dict[str, Any]:
        return make_report(0.02)

    with pytest.raises(ParityError, match=r"the closest has .*0\.0200.*damage are layer4") as refused:
        search(steps, bad, bad, lambda: {name: float(name[-1]) for name in steps}, Limits())
    assert "--variants fp32" in str(refused.value)
    assert all(ladder.is_exhausted for ladder in steps.values())


def test_a_recipe_that_gains_little_is_left_out_of_the_ladder() -> None:
    kept = Ladder.of([(PLAIN, 0.1), (Recipe(alpha=0.5), 0.09), (COLUMNS, 0.01)])
    assert [recipe.kind for recipe, _ in kept.remedies] == ["int8", "columns", "fp32"]


def test_the_last_recipes_are_checked_on_the_held_out_rows_as_well() -> None:
    steps = {name: Ladder([(PLAIN, 0.1), (COLUMNS, 0.03)]) for name in ("layer0", "layer1")}

    def held_out(recipes: Mapping[str, Recipe]) -> dict[str, Any]:
        return make_report(0.001 if all(recipe is COLUMNS for recipe in recipes.values()) else 0.02)

    answer = search(steps, lambda _: make_report(0.02), held_out, lambda: dict.fromkeys(steps, 1.0), Limits())
    assert answer["mean_abs_delta"] == 0.001


def test_a_graph_without_a_layer_in_int8_is_refused() -> None:
    steps = make_ladders(3)

    def only_exact(recipes: Mapping[str, Recipe]) -> dict[str, Any]:
        return make_report(0.0 if all(recipe is FP32 for recipe in recipes.values()) else 0.02)

    with pytest.raises(ParityError, match=r"the closest has .*0\.0200.* most damage"):
        search(steps, only_exact, only_exact, lambda: dict.fromkeys(steps, 1.0), Limits())


def test_one_flip_among_few_search_rows_is_left_to_the_held_out_rows() -> None:
    steps = make_ladders(3)
    one_flip = make_report(0.001) | {"rows": 100, "flips": 0.01}
    assert search(steps, lambda _: one_flip, lambda _: make_report(0.001), lambda: {}, Limits())["flips"] == 0
    assert all(ladder.recipe is PLAIN for ladder in steps.values())


def test_answers_that_are_not_finite_are_refused_with_their_number() -> None:
    steps = make_ladders(2)
    broken = {"rows": 300, "not_finite": 4}
    with pytest.raises(ParityError, match="4 of 300 rows are not finite"):
        search(steps, lambda _: broken, lambda _: broken, lambda: dict.fromkeys(steps, 1.0), Limits())
