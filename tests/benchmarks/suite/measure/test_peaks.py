"""The peaks of matrix products in the suite."""

import time
from collections.abc import Callable

import pytest

from benchmarks.suite.measure import peaks


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in seconds, which only the products move."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def products(clock: list[float], rate: float, rows_seen: list[int]) -> Callable[[int], Callable[[], object]]:
    def make(rows: int) -> Callable[[], object]:
        def call() -> None:
            rows_seen.append(rows)
            clock[0] += 2 * rows * peaks.WIDTH * peaks.COLUMNS / rate

        return call

    return make


def test_the_rate_of_a_fast_product_is_that_of_all_rows(clock: list[float]) -> None:
    seen: list[int] = []
    assert peaks.measure_peak(products(clock, 1e11, seen)) == pytest.approx(1e11)
    assert max(seen) == peaks.ROWS
    assert clock[0] < 2 * peaks.SECONDS


def test_a_product_emulated_in_software_is_timed_on_few_rows(clock: list[float]) -> None:
    seen: list[int] = []
    assert peaks.measure_peak(products(clock, 7e7, seen)) == pytest.approx(7e7)
    assert set(seen) == {peaks.FEW_ROWS}
    assert clock[0] < 10
