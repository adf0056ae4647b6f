"""The int8 gate: compare answers on held-out text with float32 PyTorch, in the units that a user sees.

Label flips alone hide damage: a classifier can keep its labels while single logits move by whole units. So the gate
limits the drift of probabilities as well, both on average and in the tail.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, softmax
from scipy.stats import spearmanr

from assay_export.errors import ExportError
from assay_export.gates.answers import find_flips
from assay_export.graphs.writer import Array

__all__ = ["Limits", "describe", "excess", "measure"]

# Limits for a scorer, whose output is 0..1: the rank correlation with PyTorch's scores, and the worst row's |delta|.
MIN_SPEARMAN = 0.999
MAX_SCORE_DELTA = 0.03
# Limit for a classifier: the 99th percentile over rows of the largest |delta probability|.
MAX_P99 = 0.05


@dataclass(frozen=True)
class Limits:
    """The limits that a user can set.

    Attributes:
        max_flips: The share of rows whose label may flip.
        max_drift: The mean |delta| of the probabilities or the score.
    """

    max_flips: float = 0.005
    max_drift: float = 0.005

    @classmethod
    def of(cls, max_flips: float | None, max_drift: float | None) -> "Limits":
        """Return limits with the given values, and defaults for those that are None.

        Raises:
            ExportError: A value is not above 0 and at most 1.
        """
        given = {"max_flips": max_flips, "max_drift": max_drift}
        for name, value in given.items():
            if value is not None and not 0 < value <= 1:
                option = name.replace("_", "-")
                raise ExportError(f"--{option} is {value}, expected a number above 0 and at most 1")
        return cls(**{name: value for name, value in given.items() if value is not None})


def measure(logits: Array, expected: Array, activation: str) -> dict[str, float | int]:
    """Measure how far a graph's answers are from PyTorch's.

    Args:
        logits: The graph's logits [rows, labels].
        expected: PyTorch's logits [rows, labels].
        activation: "softmax" or "sigmoid" for a classifier, "identity" or "sigmoid score" for a scorer.

    Returns:
        The report as the manifest stores it. It has only "rows" and "not_finite" if any logit is NaN or infinite.
    """
    if not np.isfinite(logits).all():
        return {"rows": len(logits), "not_finite": int((~np.isfinite(logits)).any(axis=-1).sum())}
    delta_logit = float(np.abs(logits - expected).max())
    if activation in ("identity", "sigmoid score"):
        if activation == "sigmoid score":
            logits, expected = _sigmoid(logits), _sigmoid(expected)
        delta = np.abs(logits - expected).max(axis=-1)
        # Constant answers have no ranking, which counts as the lowest correlation.
        rank = spearmanr(logits[:, 0], expected[:, 0]).statistic if np.ptp(logits) and np.ptp(expected) else 0.0
        return {
            "rows": len(logits),
            "spearman": float(rank),
            "mean_abs_delta": float(delta.mean()),
            "max_abs_delta": float(delta.max()),
            "worst_row": int(delta.argmax()),
        }
    probabilities = _softmax if activation == "softmax" else _sigmoid
    delta = np.abs(probabilities(logits) - probabilities(expected))
    return {
        "rows": len(logits),
        "flips": float(find_flips(logits, expected, activation).mean()),
        "mean_abs_delta": float(delta.mean()),
        "p99_abs_delta": float(np.quantile(delta.max(axis=-1), 0.99)),
        "max_abs_delta": float(delta.max()),
        "max_abs_delta_logit": delta_logit,
        "worst_row": int(delta.max(axis=-1).argmax()),
    }


def excess(report: dict[str, Any], limits: Limits, *, flips: bool = True) -> float:
    """Return the largest ratio of a measure of the report to its limit. The gate passes at 1 or less.

    Args:
        report: What `measure` returned.
        limits: The limits that a user can set.
        flips: Whether label flips count, or only drift.
    """
    if "not_finite" in report:
        return float("inf")
    if "spearman" in report:
        return max(
            (1 - report["spearman"]) / (1 - MIN_SPEARMAN),
            report["mean_abs_delta"] / limits.max_drift,
            report["max_abs_delta"] / MAX_SCORE_DELTA,
        )
    return max(
        report["flips"] / limits.max_flips if flips else 0.0,
        report["mean_abs_delta"] / limits.max_drift,
        report["p99_abs_delta"] / MAX_P99,
    )


def describe(report: dict[str, Any]) -> str:
    """Return the report on one line."""
    if "not_finite" in report:
        return f"{report['not_finite']} of {report['rows']} rows are not finite"
    if "spearman" in report:
        return (
            f"Spearman {report['spearman']:.5f}, mean |delta| {report['mean_abs_delta']:.4f}, "
            f"max {report['max_abs_delta']:.4f} over {report['rows']} rows"
        )
    return (
        f"{report['flips']:.2%} label flips, mean |delta probability| {report['mean_abs_delta']:.4f}, "
        f"99th percentile {report['p99_abs_delta']:.4f}, max {report['max_abs_delta']:.4f} over {report['rows']} rows"
    )


def _sigmoid(logits: Array) -> Array:
    return np.asarray(expit(logits))


def _softmax(logits: Array) -> Array:
    return np.asarray(softmax(logits, axis=-1))
