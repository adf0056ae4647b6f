"""A cost model of an answer: so much whatever its length, so much per token, and so much per token squared.

The first is what a call costs (Python, threads, reading weights), the second the linear layers, the third attention.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.errors import BenchmarkError

__all__ = ["FEWEST_LENGTHS", "Cost", "fit_cost"]

FEWEST_LENGTHS = 4
"""With three lengths three coefficients fit anything."""


class Cost(NamedTuple):
    """Seconds of a call, per token and per token squared, and how far the worst length is from them."""

    fixed: float
    per_token: float
    per_square: float
    worst: float  # relative

    def predict(self, tokens: float) -> float:
        """Return the seconds of an answer of this many tokens."""
        return self.fixed + self.per_token * tokens + self.per_square * tokens**2

    def __str__(self) -> str:
        call, token, square = map(_shorten, (self.fixed * 1e3, self.per_token * 1e6, self.per_square * 1e9))
        return f"{call} ms + {token} us n + {square} ns n²"


def _shorten(value: float) -> str:
    """Three significant digits, or more before the point."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def fit_cost(tokens: Sequence[float], seconds: Sequence[float]) -> Cost:
    """Fit the coefficients by least squares of the relative errors, none of them negative.

    Raises:
        BenchmarkError: There are fewer than FEWEST_LENGTHS different lengths.
    """
    if len(set(tokens)) < FEWEST_LENGTHS:
        raise BenchmarkError(
            f"found {len(set(tokens))} different lengths, expected at least {FEWEST_LENGTHS} to fit a cost: "
            "name more with --lengths"
        )
    lengths, times = np.array(tokens, np.float64), np.array(seconds, np.float64)
    matrix = np.stack([np.ones_like(lengths), lengths, lengths**2], axis=1) / times[:, None]
    scale = np.linalg.norm(matrix, axis=0)  # squares of tokens are far larger than 1
    best, least = np.zeros(3), np.inf
    # The solution without negative coefficients is the best of those with some of them left out.
    for size in (1, 2, 3):
        for kept in itertools.combinations(range(3), size):
            columns = list(kept)
            solved = np.linalg.lstsq(matrix[:, columns] / scale[columns], np.ones_like(times), rcond=None)[0]
            error = float(np.sum((matrix[:, columns] / scale[columns] @ solved - 1) ** 2))
            if (solved >= 0).all() and error < least:
                least, best = error, np.zeros(3)
                best[columns] = solved / scale[columns]
    worst = float(np.abs(matrix @ best - 1).max())
    fixed, per_token, per_square = (float(value) for value in best)
    return Cost(fixed, per_token, per_square, worst)
