"""Ratios within rounds, percentiles and ranks, on samples whose results are known."""

import pytest

from benchmarks.suite.report.statistics import compare_cells, compare_rounds, percentile, rank


def test_a_round_counts_by_the_median_of_its_calls_and_only_where_both_peers_took_part() -> None:
    ours = {0: [1.0, 1.0, 9.0], 1: [4.0]}
    theirs = {0: [2.0, 2.0], 2: [1.0]}
    assert compare_rounds(ours, theirs) == (0.5, 0.5, 0.5)
    assert compare_rounds({0: [1.0]}, {1: [1.0]}) is None


def test_a_percentile_is_over_all_calls_of_all_rounds() -> None:
    rounds = {0: [1.0, 2.0], 1: [3.0, 4.0, 5.0]}
    assert percentile(rounds, 50) == 3.0
    assert percentile(rounds, 100) == 5.0
    assert percentile(rounds, 90) == pytest.approx(4.6)


def test_over_several_cells_a_round_counts_by_its_geometric_mean() -> None:
    ours = {"16": {0: [1.0], 1: [1.0]}, "64": {0: [4.0], 1: [9.0]}}
    theirs = {"16": {0: [1.0], 1: [1.0]}, "64": {0: [1.0], 1: [1.0]}}
    assert compare_cells(ours, theirs) == pytest.approx((2.5, 2.0, 3.0))


def test_a_round_that_was_cut_short_does_not_count_over_several_cells() -> None:
    ours = {"16": {0: [1.0], 1: [1.0]}, "64": {0: [4.0]}}
    theirs = {"16": {0: [1.0], 1: [1.0]}, "64": {0: [1.0]}}
    assert compare_cells(ours, theirs) == pytest.approx((2.0, 2.0, 2.0))


def test_ranks_follow_the_times_and_ties_share_one() -> None:
    peers = {
        "slow": {"16": {0: [9.0], 1: [9.0]}},
        "fast": {"16": {0: [1.0], 1: [1.1]}},
        "as fast": {"16": {0: [1.1], 1: [1.0]}},
    }
    assert rank(peers) == {"fast": 1, "as fast": 1, "slow": 3}
    assert rank({}) == {}
