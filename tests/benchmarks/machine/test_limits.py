"""Operations by length, shares of a peak, and a data sheet's least time."""

import pytest

from benchmarks.machine.limits import (
    DATA_SHEETS,
    count_bytes,
    count_operations,
    count_skipped,
    roofline_seconds,
    share_of_limit,
)


@pytest.mark.parametrize("tokens", [1, 16, 77, 512, 8192])
def test_the_operations_of_any_length_follow_from_those_of_three(tokens: int) -> None:
    def count(length: int) -> int:
        return 170_000_000 * length + 36_864 * length**2

    constant = 14_000_000_000  # what every call computes alike is no part of an answer
    probes = {str(length): count(length) + constant for length in (16, 32, 64)}
    assert count_operations(probes, tokens) == pytest.approx(count(tokens), rel=1e-5)


def test_a_share_is_the_operations_done_over_those_that_the_time_allows() -> None:
    assert share_of_limit(operations=1e9, seconds=0.01, peak=1e12) == pytest.approx(0.1)


def test_a_data_sheet_bounds_short_texts_by_bandwidth_and_long_ones_by_arithmetic() -> None:
    sheet = DATA_SHEETS["NVIDIA L4"]
    assert roofline_seconds(1e6, 3e8, sheet, "fp16") == pytest.approx(1e-3)
    assert roofline_seconds(121e12, 3e8, sheet, "fp16") == pytest.approx(1.0)


def test_local_attention_skips_the_pairs_that_are_farther_apart_than_half_its_window() -> None:
    local = {"layers": 3, "window": 4, "hidden": 10}
    tokens = 9
    far = sum(abs(i - j) > 2 for i in range(tokens) for j in range(tokens))
    assert count_skipped(local, tokens) == 3 * 4 * 10 * far
    assert count_skipped(local, 3) == 0
    assert count_skipped(None, 8192) == 0


def test_an_answer_reads_every_matrix_once_and_an_embedding_per_token() -> None:
    weights = {"matrices": 1000, "per_token": 10}
    assert count_bytes(weights, 5, "fp32") == 4 * 1050
    assert count_bytes(weights, 5, "int8") == 1050
