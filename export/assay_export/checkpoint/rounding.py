"""PyTorch's own rounding error, from its float64 logits, and what it allows float32 graphs and merged adapters.

Rounding errors grow with the logits. Where logits are large, or a model amplifies rounding, two correct computations in
float32 differ by more than an absolute limit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from assay_export.checkpoint.reference import Feed, ReferenceModel

__all__ = ["ERRORS", "FP32_MAX_DELTA", "Logits", "Rounding", "measure_rounding"]

Logits = npt.NDArray[Any]

FP32_MAX_DELTA = 1e-4
"""The largest |delta logit| where PyTorch's own error is small. Float32 rounding over a few dozen layers is of the
order of 1e-6 on logits of order one."""

# A graph and PyTorch round independently, and a graph adds in another order (docs/export/index.md, The limit).
ERRORS = 8
# Not more than this share of the largest |logit|: where PyTorch's answers are less certain, no graph can be judged.
SHARE = 1e-3


@dataclass(frozen=True)
class Rounding:
    """PyTorch's own rounding on some inputs.

    Attributes:
        error: The largest |float32 logit - float64 logit|.
        largest: The largest |float64 logit|.
    """

    error: float
    largest: float

    @property
    def limit(self) -> float:
        """The largest |delta logit| allowed between a float32 graph and float32 PyTorch."""
        return max(FP32_MAX_DELTA, min(ERRORS * self.error, SHARE * self.largest))


def measure_rounding(
    reference: ReferenceModel, answers: Sequence[tuple[Feed, Logits]], advance: Callable[[], None] = lambda: None
) -> Rounding:
    """Run PyTorch in float64 and compare its logits with its float32 logits.

    Args:
        reference: The PyTorch model.
        answers: Inputs, each with PyTorch's float32 logits [batch, labels].
        advance: Called after each input.
    """
    error = largest = 0.0
    with reference.in_float64():
        for feed, rounded in answers:
            exact = reference.logits(feed)
            error = max(error, float(np.abs(rounded - exact).max()))
            largest = max(largest, float(np.abs(exact).max()))
            advance()
    return Rounding(error, largest)
