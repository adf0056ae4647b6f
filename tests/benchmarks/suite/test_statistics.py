"""Ratios within rounds, ties, percentiles and ranks, on samples whose answers are known."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.suite import statistics
from benchmarks.suite.statistics import over_cells, percentile, ranking, ratio, round_ratio


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


def test_a_round_counts_by_the_median_of_its_calls_and_only_where_both_peers_took_part() -> None:
    ours = {0: [1.0, 1.0, 9.0], 1: [4.0]}
    theirs = {0: [2.0, 2.0], 2: [1.0]}
    assert round_ratio(ours, theirs) == (0.5, 0.5, 0.5)
    assert round_ratio({0: [1.0]}, {1: [1.0]}) is None


def test_a_percentile_is_over_all_calls_of_all_rounds() -> None:
    rounds = {0: [1.0, 2.0], 1: [3.0, 4.0, 5.0]}
    assert percentile(rounds, 50) == 3.0
    assert percentile(rounds, 100) == 5.0
    assert percentile(rounds, 90) == pytest.approx(4.6)


def test_over_several_cells_a_round_counts_by_its_geometric_mean() -> None:
    ours = {"16": {0: [1.0], 1: [1.0]}, "64": {0: [4.0], 1: [9.0]}}
    theirs = {"16": {0: [1.0], 1: [1.0]}, "64": {0: [1.0], 1: [1.0]}}
    assert over_cells(ours, theirs) == pytest.approx((2.5, 2.0, 3.0))


def test_a_round_that_was_cut_short_does_not_count_over_several_cells() -> None:
    ours = {"16": {0: [1.0], 1: [1.0]}, "64": {0: [4.0]}}
    theirs = {"16": {0: [1.0], 1: [1.0]}, "64": {0: [1.0]}}
    assert over_cells(ours, theirs) == pytest.approx((2.0, 2.0, 2.0))


def test_ranks_follow_the_times_and_ties_share_one() -> None:
    peers = {
        "slow": {"16": {0: [9.0], 1: [9.0]}},
        "fast": {"16": {0: [1.0], 1: [1.1]}},
        "as fast": {"16": {0: [1.1], 1: [1.0]}},
    }
    assert ranking(peers) == {"fast": 1, "as fast": 1, "slow": 3}
    assert ranking({}) == {}


@given(
    st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=8),
    st.floats(0.01, 100),
)
def test_a_peer_that_takes_k_times_as_long_in_every_round_has_the_ratio_k(times: list[float], k: float) -> None:
    found = ratio([k * value for value in times], times)
    assert all(math.isclose(value, k, rel_tol=1e-9) for value in found)
    assert statistics.geometric_mean(times) <= max(times) * (1 + 1e-9)
