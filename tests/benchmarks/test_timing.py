"""Turns and ratios: fair order, ratios within rounds, and ties."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.timing import Call, Turn, from_callers, one_at_a_time, ratio, rotate, round_robin


def test_a_ratio_is_taken_within_each_round_so_that_drift_between_rounds_cancels() -> None:
    assert ratio([1.0, 10.0, 100.0], [2.0, 20.0, 200.0]) == (0.5, 0.5, 0.5)


def test_a_ratio_is_the_median_round_with_the_least_and_the_greatest() -> None:
    assert ratio([3.0, 1.0, 8.0], [2.0, 2.0, 2.0]) == (1.5, 0.5, 4.0)
    assert str(ratio([3.0, 1.0, 8.0], [2.0, 2.0, 2.0])) == "1.50 (0.50..4.00)"


def test_a_ratio_of_unequal_numbers_of_rounds_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratio([1.0, 2.0], [1.0])


def test_a_difference_inside_the_spread_is_a_tie() -> None:
    assert ratio([0.9, 1.1, 0.8], [1.0, 1.0, 1.0]).tie
    assert not ratio([0.9, 0.95, 0.8], [1.0, 1.0, 1.0]).tie
    assert not ratio([1.1, 1.2], [1.0, 1.0]).tie


@given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=8), st.floats(0.01, 100))
def test_a_contender_that_takes_k_times_as_long_in_every_round_has_the_ratio_k(times: list[float], k: float) -> None:
    found = ratio([k * value for value in times], times)
    assert all(math.isclose(value, k, rel_tol=1e-9) for value in found)


def test_the_first_of_one_round_is_the_last_of_the_next() -> None:
    assert ["".join(rotate(["a", "b", "c"], number)) for number in range(4)] == ["abc", "bca", "cab", "abc"]


def test_every_contender_takes_one_turn_a_round_after_one_that_warms_up() -> None:
    taken: list[str] = []

    def contender(name: str, seconds: float) -> Callable[[], float]:
        def turn() -> float:
            taken.append(name)
            return seconds

        return turn

    times = round_robin({name: contender(name, value) for name, value in (("a", 1.0), ("b", 2.0), ("c", 3.0))}, 3)
    assert "".join(taken) == "abc" + "abc" + "bca" + "cab"
    assert times == {"a": [1.0] * 3, "b": [2.0] * 3, "c": [3.0] * 3}


@pytest.mark.parametrize("make_turn", [one_at_a_time, lambda call: from_callers(call, 2)])
def test_a_turn_runs_every_input_after_a_first_call_that_does_not_count(make_turn: Callable[[Call], Turn]) -> None:
    inputs = [np.full((1, 4), number) for number in range(4)]
    seen: list[int] = []
    assert make_turn(lambda ids: seen.append(int(ids[0, 0])))(inputs) > 0
    assert sorted(seen) in ([0, 0, 1, 2, 3], [0, 0, 1, 1, 2, 3])
