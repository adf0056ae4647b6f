"""The measures of quality, by scikit-learn and scipy, as plain dicts that go into --json as they are.

A measure that is undefined (the precision of a class that was never answered, the correlation of a constant) is None.
"""

import importlib
import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from assay.bundle.manifest import Scale
from assay.models.base import Float32
from assay.models.classifier import softmax
from assay.models.scorer import rescale

__all__ = ["ROUNDING", "classifier", "classifier_changes", "evol", "scorer", "scorer_changes", "to_label_scale"]

# scikit-learn has no type hints, which mypy asks for in an import statement.
sklearn: Any = importlib.import_module("sklearn.metrics")

ROUNDING = 1e-4
"""A scorer's answers that differ by no more than this are the same: the gate of a float32 graph (parity.py)."""

Truth = npt.NDArray[np.float64]


def classifier(truth: npt.NDArray[np.int64], logits: Float32, labels: Sequence[str]) -> dict[str, Any]:
    """Accuracy, macro F1, and per class precision, recall, F1 and support; the confusion matrix [truth, answer].

    Macro F1 is scikit-learn's: the mean over the classes that occur among the truth or the answers.
    """
    answers = logits.argmax(axis=1)
    every = list(range(len(labels)))
    precision, recall, f1, support = sklearn.precision_recall_fscore_support(
        truth, answers, labels=every, zero_division=np.nan
    )
    return {
        "accuracy": float(sklearn.accuracy_score(truth, answers)),
        "macro_f1": float(sklearn.f1_score(truth, answers, average="macro")),
        "classes": [
            {
                "label": label,
                "precision": _defined(precision[index]),
                "recall": _defined(recall[index]),
                "f1": _defined(f1[index]),
                "support": int(support[index]),
            }
            for index, label in enumerate(labels)
        ],
        "confusion_matrix": sklearn.confusion_matrix(truth, answers, labels=every).tolist(),
    }


def classifier_changes(logits: Float32, baseline: Float32) -> tuple[dict[str, Any], npt.NDArray[np.int64]]:
    """How far `logits` are from the baseline's, and the rows whose label differs, the furthest first."""
    delta = np.abs(softmax(logits) - softmax(baseline))  # [rows, labels]
    differs = logits.argmax(axis=1) != baseline.argmax(axis=1)
    summary = {
        "labels_changed": int(differs.sum()),
        "mean_delta_probability": float(delta.mean()),
        "max_delta_probability": float(delta.max()),
    }
    return summary, _furthest_first(np.flatnonzero(differs), delta.max(axis=1))


def scorer(truth: Truth, output: Float32, limits: tuple[float, float] | None, scale: Scale | None) -> dict[str, Any]:
    """MAE and RMSE in the labels' units, Pearson, Spearman, and the share of rows with the same Evol-Complexity.

    Args:
        truth: the labels [rows], on the scale `limits`.
        output: the head's own output [rows], 0..1 where there is a `scale`.

    The output is put on the labels' scale and not clamped; the exact match rounds both as Maxwell's card does.
    """
    predicted = to_label_scale(output, limits)
    return {
        "mae": float(sklearn.mean_absolute_error(truth, predicted)),
        "rmse": float(sklearn.root_mean_squared_error(truth, predicted)),
        "pearson": _correlation(stats.pearsonr, truth, predicted),
        "spearman": _correlation(stats.spearmanr, truth, predicted),
        "exact_match": None
        if scale is None or limits is None
        else float(sklearn.accuracy_score(_evol_of_labels(truth, limits, scale), evol(output, scale))),
    }


def scorer_changes(
    output: Float32, baseline: Float32, limits: tuple[float, float] | None, scale: Scale | None
) -> tuple[dict[str, Any], npt.NDArray[np.int64]]:
    """How far `output` is from the baseline's, in the labels' units, and the rows past rounding, the furthest first."""
    delta = np.abs(to_label_scale(output, limits) - to_label_scale(baseline, limits))
    differs = np.abs(output.astype(np.float64) - baseline) > ROUNDING
    summary = {
        "evol_complexity_changed": None if scale is None else int((evol(output, scale) != evol(baseline, scale)).sum()),
        "mean_delta": float(delta.mean()),
        "max_delta": float(delta.max()),
    }
    return summary, _furthest_first(np.flatnonzero(differs), delta)


def to_label_scale(output: Float32, limits: tuple[float, float] | None) -> Truth:
    """The head's output, 0..1, in the units of labels from limits[0] to limits[1]; not clamped."""
    low, high = limits or (0.0, 1.0)
    return output.astype(np.float64) * (high - low) + low


def evol(output: Float32, scale: Scale) -> npt.NDArray[np.int64]:
    """Evol-Complexity of the head's output, as Scorer.evol_complexity gives it: clamped, rounded half to even."""
    low, high = scale.evol_complexity
    return np.rint(rescale(output, float(low), float(high))).astype(np.int64)


def _evol_of_labels(truth: Truth, limits: tuple[float, float], scale: Scale) -> npt.NDArray[np.int64]:
    low, high = scale.evol_complexity
    # Labels that are on this scale already stay as they are: the factor is exactly 1.
    return np.rint((truth - limits[0]) * ((high - low) / (limits[1] - limits[0])) + low).astype(np.int64)


def _correlation(of: Any, truth: Truth, predicted: Truth) -> float | None:
    if len(truth) < 2:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a constant; the result says it as well
        return _defined(of(truth, predicted).statistic)


def _furthest_first(rows: npt.NDArray[np.int64], delta: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    return rows[np.argsort(-delta[rows], kind="stable")]


def _defined(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
