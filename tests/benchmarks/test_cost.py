"""The cost model: coefficients that are known, none negative, and lengths that are too few."""

import numpy as np
import pytest

from benchmarks.cost import fit_cost
from benchmarks.errors import BenchmarkError

LENGTHS = [16, 64, 256, 1024, 4096, 8192]


@pytest.mark.parametrize("wanted", [(2e-3, 3e-4, 5e-9), (0.0, 1e-4, 0.0), (1e-2, 0.0, 1e-8)])
def test_the_coefficients_of_exact_times_are_found(wanted: tuple[float, float, float]) -> None:
    cost = fit_cost(LENGTHS, [wanted[0] + wanted[1] * n + wanted[2] * n**2 for n in LENGTHS])
    assert cost[:3] == pytest.approx(wanted, rel=1e-6, abs=1e-15)
    assert cost.worst < 1e-9
    assert cost.predict(100) == pytest.approx(wanted[0] + wanted[1] * 100 + wanted[2] * 100**2)


def test_no_coefficient_is_negative_and_the_fit_is_that_of_scipy() -> None:
    nnls = pytest.importorskip("scipy.optimize", reason="scipy is in the extra bench").nnls
    times = [1e-3 * n**0.9 for n in LENGTHS]  # concave, so that a free fit has a negative square
    cost = fit_cost(LENGTHS, times)
    matrix = np.stack([np.ones(6), np.array(LENGTHS), np.array(LENGTHS) ** 2], axis=1) / np.array(times)[:, None]
    expected, _ = nnls(matrix, np.ones(6))
    assert min(cost[:3]) >= 0
    assert cost[:3] == pytest.approx(expected, rel=1e-6, abs=1e-15)


def test_short_texts_count_as_much_as_long_ones() -> None:
    times = [2e-3 + 3e-4 * n for n in LENGTHS]
    times[-1] *= 1.1
    assert fit_cost(LENGTHS, times).predict(16) == pytest.approx(times[0], rel=0.05)


def test_lengths_that_are_too_few_are_refused() -> None:
    with pytest.raises(BenchmarkError, match="found 3 different lengths, expected at least 4"):
        fit_cost([1, 2, 3, 3], [1, 2, 3, 3])
