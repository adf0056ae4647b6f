"""The measures on samples that were worked out by hand, and the report that prints them."""

import math

import numpy as np
import pytest

from assay.bundle.manifest import Scale
from assay.models.base import Float32

pytest.importorskip("sklearn", reason="scikit-learn computes the measures; it comes with the extra bench")

from benchmarks.quality import metrics

UNIT = Scale(native=(0.0, 1.0), evol_complexity=(1, 6))


def logits_for(*answers: int, labels: int) -> Float32:
    """Logits whose best label is each of `answers`."""
    return 4 * np.eye(labels, dtype=np.float32)[list(answers)]


def test_a_classifiers_measures_are_those_worked_out_by_hand() -> None:
    found = metrics.measure_classifier(np.array([0, 0, 1, 1, 2]), logits_for(0, 1, 1, 1, 0, labels=3), ("A", "B", "C"))
    assert found["accuracy"] == pytest.approx(3 / 5)
    assert found["macro_f1"] == pytest.approx((1 / 2 + 4 / 5 + 0) / 3)
    a, b, c = found["classes"]
    assert a == {"label": "A", "precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2}
    assert b == pytest.approx({"label": "B", "precision": 2 / 3, "recall": 1.0, "f1": 0.8, "support": 2})
    # Never answered: its precision is undefined, not zero.
    assert c == {"label": "C", "precision": None, "recall": 0.0, "f1": 0.0, "support": 1}
    assert found["confusion_matrix"] == [[1, 1, 0], [0, 2, 0], [1, 0, 0]]


def test_a_class_without_rows_and_answers_is_not_part_of_macro_f1() -> None:
    found = metrics.measure_classifier(np.array([0, 1]), logits_for(0, 1, labels=3), ("A", "B", "C"))
    assert found["macro_f1"] == 1.0
    assert found["classes"][2] == {"label": "C", "precision": None, "recall": None, "f1": None, "support": 0}
    # It is as soon as it is answered, in scikit-learn as here.
    assert (
        metrics.measure_classifier(np.array([0, 1]), logits_for(0, 2, labels=3), ("A", "B", "C"))["macro_f1"] == 1 / 3
    )


def test_labels_that_changed_are_listed_furthest_first() -> None:
    baseline = np.array([[1, 0], [0, 1], [0, 1], [0, 0.1]], np.float32)
    other = np.array([[1, 0], [0.2, 0], [9, 0], [0, 0.1]], np.float32)
    summary, changed = metrics.compare_classifiers(other, baseline)
    assert changed.tolist() == [2, 1]
    assert summary["labels_changed"] == 2
    moved = 1 / (1 + math.exp(-9)) - 1 / (1 + math.exp(1))
    assert summary["max_delta_probability"] == pytest.approx(moved)
    second = 1 / (1 + math.exp(-0.2)) - 1 / (1 + math.exp(1))
    assert summary["mean_delta_probability"] == pytest.approx((moved + second) / 4)


@pytest.mark.parametrize(("limits", "unit"), [((0.0, 1.0), 1), ((1.0, 6.0), 5), ((-100.0, 100.0), 200)])
def test_a_scorers_measures_are_those_worked_out_by_hand_on_any_scale(limits: tuple[float, float], unit: float) -> None:
    truth = np.array([0.0, 0.5, 1.0]) * unit + limits[0]
    found = metrics.measure_scorer(truth, np.array([0.1, 0.5, 0.8], np.float32), limits, UNIT)
    assert found["mae"] == pytest.approx(0.1 * unit, rel=1e-6)
    assert found["rmse"] == pytest.approx(math.sqrt(0.05 / 3) * unit, rel=1e-6)
    assert found["pearson"] == pytest.approx(0.35 / math.sqrt(0.5 * 0.74 / 3), rel=1e-6)
    assert found["spearman"] == 1.0
    # On 1..6: labels 1, 3.5 and 6; answers 1.5, 3.5 and 5. Half goes to even, so 3.5 is 4 and 1.5 is 2.
    assert found["exact_match"] == pytest.approx(1 / 3)


def test_errors_are_of_the_output_as_it_is_and_the_exact_match_of_the_clamped_one() -> None:
    found = metrics.measure_scorer(np.array([0.0, 1.0]), np.array([-0.2, 1.3], np.float32), (0.0, 1.0), UNIT)
    assert found["mae"] == pytest.approx(0.25)
    assert found["exact_match"] == 1.0


def test_a_correlation_with_a_constant_is_undefined() -> None:
    found = metrics.measure_scorer(np.array([0.1, 0.9]), np.array([0.5, 0.5], np.float32), (0.0, 1.0), UNIT)
    assert found["pearson"] is None
    assert found["spearman"] is None
    assert metrics.measure_scorer(np.array([0.1]), np.array([0.5], np.float32), (0.0, 1.0), UNIT)["spearman"] is None


def test_a_scorer_of_unknown_scale_has_no_exact_match() -> None:
    found = metrics.measure_scorer(np.array([10.0, 30.0]), np.array([12.0, 29.0], np.float32), None, None)
    assert found["mae"] == pytest.approx(1.5)
    assert found["exact_match"] is None


def test_an_output_that_is_not_in_0_to_1_is_put_on_the_scale_of_the_labels() -> None:
    scale = Scale(native=(1.0, 5.0), evol_complexity=None)
    output = np.array([1.0, 3.0, 5.5], np.float32)
    own = metrics.measure_scorer(np.array([1.0, 3.0, 5.0]), output, (1.0, 5.0), scale)
    assert own["mae"] == pytest.approx(0.5 / 3)
    percent = metrics.measure_scorer(np.array([0.0, 50.0, 100.0]), output, (0.0, 100.0), scale)
    assert percent["mae"] == pytest.approx(12.5 / 3)
    assert percent["exact_match"] is None
    summary, _ = metrics.compare_scorers(output, output + np.float32(0.5), (0.0, 100.0), scale)
    assert summary["max_delta"] == pytest.approx(12.5)
    assert summary["evol_complexity_changed"] is None


def test_a_score_has_changed_when_it_moved_by_more_than_rounding() -> None:
    baseline = np.array([0.2, 0.4, 0.6, 0.8], np.float32)
    output = baseline + np.array([1e-5, 0.01, 0, -0.15], np.float32)
    summary, changed = metrics.compare_scorers(output, baseline, (1.0, 6.0), UNIT)
    assert changed.tolist() == [3, 1]
    assert summary["max_delta"] == pytest.approx(0.75, rel=1e-5)
    assert summary["mean_delta"] == pytest.approx(5 * 0.16001 / 4, rel=1e-4)
    assert summary["evol_complexity_changed"] == 1  # 5 to 4.25; 3 to 3.05 stays
