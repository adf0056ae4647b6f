"""Compares a peer's answers with PyTorch's. A peer that fails keeps its times in the report and has no rank."""

from typing import Any, Literal

import numpy as np
from scipy.stats import spearmanr

from assay_export.variants.int8 import gate
from benchmarks.suite.setup import Float32

__all__ = ["FP32_TOLERANCE", "Verdict", "compare", "judge"]

FP32_TOLERANCE = 1e-3
"""The largest |delta logit| of a float32 peer. Engines sum in different orders, which moves logits by about 1e-5."""

Verdict = Literal["passed", "failed", "not judged"]


def compare(logits: Float32, expected: Float32, activation: str) -> dict[str, Any]:
    """Compare logits with those expected, both [rows, labels].

    Returns:
        The largest and the mean |delta logit|, the share of labels that flip (with several labels only), and
        Spearman's rank correlation, with several labels the least of theirs.
    """
    if logits.shape != expected.shape:
        return {"shape": list(logits.shape), "expected_shape": list(expected.shape)}
    if not np.isfinite(logits).all():
        return {"not_finite": int((~np.isfinite(logits)).any(axis=-1).sum())}
    delta = np.abs(logits.astype(np.float64) - expected)
    report: dict[str, Any] = {"max_abs_delta_logit": float(delta.max()), "mean_abs_delta_logit": float(delta.mean())}
    if expected.shape[1] > 1:
        report["flips"] = float((logits.argmax(-1) != expected.argmax(-1)).mean())
    columns = zip(logits.T, expected.T, strict=True)
    report["spearman"] = min(_spearman(ours, theirs) for ours, theirs in columns)
    report["gate_excess"] = gate.excess(gate.measure(logits, expected, activation), gate.Limits())
    report["signal"] = float(expected.std(axis=0).mean())
    return report


def judge(report: dict[str, Any], precision: str, random_weights: bool) -> Verdict:
    """Judge a comparison: float32 must be within FP32_TOLERANCE, lower precision must pass the gate of assay's int8.

    On random weights the answers are closer together than rounding moves them. There, lower precision is not judged,
    and fails only if its answers are no better than a constant.
    """
    if "max_abs_delta_logit" not in report:
        return "failed"
    if precision == "fp32":
        return "passed" if report["max_abs_delta_logit"] <= FP32_TOLERANCE else "failed"
    if random_weights:
        return "not judged" if report["mean_abs_delta_logit"] < report["signal"] else "failed"
    return "passed" if report["gate_excess"] <= 1 else "failed"


def _spearman(ours: Float32, theirs: Float32) -> float:
    """Spearman's correlation, 0 if either side is constant."""
    return float(spearmanr(ours, theirs).statistic) if np.ptp(ours) and np.ptp(theirs) else 0.0
