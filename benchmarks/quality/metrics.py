"""Computes the measures with scikit-learn and SciPy, as plain dicts for --json.

An undefined measure (the precision of a class that was never predicted, the correlation of a constant) is None.
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
from assay.models.activations import softmax
from assay.models.base import Float32
from assay.models.scorer import rescale

__all__ = [
    "ROUNDING",
    "compare_classifiers",
    "compare_scorers",
    "measure_classifier",
    "measure_scorer",
    "rescale_output",
]

# scikit-learn has no type hints, so mypy would reject an import statement.
sklearn: Any = importlib.import_module("sklearn.metrics")

ROUNDING = 1e-4
"""Scores that differ by no more than this are equal: the tolerance of the gate for float32 graphs."""

Truth = npt.NDArray[np.float64]


def measure_classifier(truth: npt.NDArray[np.int64], logits: Float32, labels: Sequence[str]) -> dict[str, Any]:
    """Compute accuracy, macro F1, measures per class, and the confusion matrix [truth, answer].

    Macro F1 is scikit-learn's: the mean over the classes that occur in the truth or in the answers.
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
                "precision": _drop_nan(precision[index]),
                "recall": _drop_nan(recall[index]),
                "f1": _drop_nan(f1[index]),
                "support": int(support[index]),
            }
            for index, label in enumerate(labels)
        ],
        "confusion_matrix": sklearn.confusion_matrix(truth, answers, labels=every).tolist(),
    }


def compare_classifiers(logits: Float32, baseline: Float32) -> tuple[dict[str, Any], npt.NDArray[np.int64]]:
    """Compare logits with the baseline's.

    Returns:
        A summary, and the indices of the rows whose label differs, largest difference first.
    """
    delta = np.abs(softmax(logits) - softmax(baseline))  # [rows, labels]
    differs = logits.argmax(axis=1) != baseline.argmax(axis=1)
    summary = {
        "labels_changed": int(differs.sum()),
        "mean_delta_probability": float(delta.mean()),
        "max_delta_probability": float(delta.max()),
    }
    return summary, _sort_by_difference(np.flatnonzero(differs), delta.max(axis=1))


def measure_scorer(
    truth: Truth, output: Float32, limits: tuple[float, float] | None, scale: Scale | None
) -> dict[str, Any]:
    """Compute MAE and RMSE in the labels' units, Pearson, Spearman, and the share of rows with equal Evol-Complexity.

    The output is put on the scale of the labels and is not clamped. The exact match rounds both like Maxwell's card,
    and is None without an Evol-Complexity scale.

    Args:
        truth: The labels [rows], on the scale `limits`.
        output: The output of the head [rows].
        limits: The scale of the labels. None if it is that of the output.
        scale: The scale of the output. None if the bundle does not declare it.
    """
    predicted = rescale_output(output, limits, scale)
    return {
        "mae": float(sklearn.mean_absolute_error(truth, predicted)),
        "rmse": float(sklearn.root_mean_squared_error(truth, predicted)),
        "pearson": _correlation(stats.pearsonr, truth, predicted),
        "spearman": _correlation(stats.spearmanr, truth, predicted),
        "exact_match": None
        if scale is None or scale.evol_complexity is None or limits is None
        else float(
            sklearn.accuracy_score(
                _round_labels(truth, limits, scale.evol_complexity),
                _round_output(output, scale.native, scale.evol_complexity),
            )
        ),
    }


def compare_scorers(
    output: Float32, baseline: Float32, limits: tuple[float, float] | None, scale: Scale | None
) -> tuple[dict[str, Any], npt.NDArray[np.int64]]:
    """Compare outputs with the baseline's, in the labels' units.

    Returns:
        A summary, and the indices of the rows that differ by more than rounding, largest difference first.
    """
    delta = np.abs(rescale_output(output, limits, scale) - rescale_output(baseline, limits, scale))
    differs = np.abs(output.astype(np.float64) - baseline) > ROUNDING
    summary = {
        "evol_complexity_changed": None
        if scale is None or scale.evol_complexity is None
        else _count_changes(output, baseline, scale.native, scale.evol_complexity),
        "mean_delta": float(delta.mean()),
        "max_delta": float(delta.max()),
    }
    return summary, _sort_by_difference(np.flatnonzero(differs), delta)


def rescale_output(output: Float32, limits: tuple[float, float] | None, scale: Scale | None) -> Truth:
    """Put the output of the head on the scale of labels from limits[0] to limits[1], without clamping.

    Without a scale of the labels or of the output, it stays as it is.
    """
    exact = output.astype(np.float64)
    if limits is None or scale is None:
        return exact
    least, greatest = scale.native
    return (exact - least) / (greatest - least) * (limits[1] - limits[0]) + limits[0]


def _count_changes(output: Float32, baseline: Float32, native: tuple[float, float], evol: tuple[int, int]) -> int:
    return int((_round_output(output, native, evol) != _round_output(baseline, native, evol)).sum())


def _round_output(output: Float32, native: tuple[float, float], evol: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Round the output of the head to Evol-Complexity like Scorer.evol_complexity: clamped, half to even."""
    low, high = evol
    return np.rint(rescale(output, float(low), float(high), native)).astype(np.int64)


def _round_labels(truth: Truth, limits: tuple[float, float], evol: tuple[int, int]) -> npt.NDArray[np.int64]:
    low, high = evol
    # For labels that are on this scale already, the factor is exactly 1.
    return np.rint((truth - limits[0]) * ((high - low) / (limits[1] - limits[0])) + low).astype(np.int64)


def _correlation(of: Any, truth: Truth, predicted: Truth) -> float | None:
    if len(truth) < 2:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a constant warns, and makes the result NaN
        return _drop_nan(of(truth, predicted).statistic)


def _sort_by_difference(rows: npt.NDArray[np.int64], delta: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    return rows[np.argsort(-delta[rows], kind="stable")]


def _drop_nan(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
