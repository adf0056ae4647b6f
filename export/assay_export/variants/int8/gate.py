"""The int8 gate: answers on held-out text against float32 PyTorch, in the units that a user sees.

Label flips alone hide damage: a classifier can keep its labels while single logits move by whole units. So
probabilities are held to account as well, in the mean and in the tail.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, softmax
from scipy.stats import spearmanr

from assay_export.errors import ExportError
from assay_export.graphs.writer import Array

# A scorer's 0..1 output: how far its ranking and its worst row may move.
MIN_SPEARMAN = 0.999
MAX_SCORE_DELTA = 0.03
# A classifier's probabilities: all but one in a hundred within this.
MAX_P99 = 0.05


@dataclass(frozen=True)
class Limits:
    """What a user may change: the share of labels that may flip, and the mean |delta| of probability or score."""

    max_flips: float = 0.005
    max_drift: float = 0.005

    @classmethod
    def of(cls, max_flips: float | None, max_drift: float | None) -> "Limits":
        """The defaults, but for what is given.

        Raises:
            ExportError: a limit that is no share of one.
        """
        given = {"max_flips": max_flips, "max_drift": max_drift}
        for name, value in given.items():
            if value is not None and not 0 < value <= 1:
                option = name.replace("_", "-")
                raise ExportError(f"--{option} is {value}, expected a number above 0 and at most 1")
        return cls(**{name: value for name, value in given.items() if value is not None})


def measure(logits: Array, expected: Array, activation: str) -> dict[str, float | int]:
    """How `logits` [rows, labels] answer differently from `expected`, as the manifest reports it."""
    if not np.isfinite(logits).all():
        return {"rows": len(logits), "not_finite": int((~np.isfinite(logits)).any(axis=-1).sum())}
    delta_logit = float(np.abs(logits - expected).max())
    if activation == "identity":
        delta = np.abs(logits - expected).max(axis=-1)
        # A constant answer has no ranking; it is as wrong as one can be.
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
    if activation == "softmax":
        flipped = logits.argmax(-1) != expected.argmax(-1)
    else:
        flipped = ((logits > 0) != (expected > 0)).any(axis=-1)
    return {
        "rows": len(logits),
        "flips": float(flipped.mean()),
        "mean_abs_delta": float(delta.mean()),
        "p99_abs_delta": float(np.quantile(delta.max(axis=-1), 0.99)),
        "max_abs_delta": float(delta.max()),
        "max_abs_delta_logit": delta_logit,
        "worst_row": int(delta.max(axis=-1).argmax()),
    }


def excess(report: dict[str, Any], limits: Limits) -> float:
    """How far the report is past the gate: the largest ratio of a measure to its limit; at most 1 passes."""
    if "not_finite" in report:
        return float("inf")
    if "spearman" in report:
        return max(
            (1 - report["spearman"]) / (1 - MIN_SPEARMAN),
            report["mean_abs_delta"] / limits.max_drift,
            report["max_abs_delta"] / MAX_SCORE_DELTA,
        )
    return max(
        report["flips"] / limits.max_flips,
        report["mean_abs_delta"] / limits.max_drift,
        report["p99_abs_delta"] / MAX_P99,
    )


def describe(report: dict[str, Any]) -> str:
    """The report on one line."""
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
