"""The int8 gate: what it measures and what it lets pass."""

import numpy as np
import pytest

from assay_export.errors import ExportError
from assay_export.gates.answers import find_flips
from assay_export.variants.int8.gate import Limits, describe, excess, measure

GENERATOR = np.random.default_rng(0)
LOGITS = GENERATOR.normal(size=(400, 5)).astype(np.float32) * 3
SCORES = GENERATOR.uniform(size=(400, 1)).astype(np.float32)


def test_equal_answers_have_no_excess() -> None:
    assert excess(measure(LOGITS, LOGITS, "softmax"), Limits()) == 0
    assert excess(measure(SCORES, SCORES, "identity"), Limits()) == pytest.approx(0, abs=1e-9)


def test_at_most_half_a_per_cent_of_labels_may_flip() -> None:
    two, three = LOGITS.copy(), LOGITS.copy()
    for wrong, rows in ((two, 2), (three, 3)):
        wrong[:rows] = np.roll(wrong[:rows], 1, axis=1)
    assert measure(two, LOGITS, "softmax")["flips"] == pytest.approx(0.005)
    assert excess(measure(two, LOGITS, "softmax"), Limits()) == pytest.approx(1)
    assert excess(measure(three, LOGITS, "softmax"), Limits()) > 1
    assert excess(measure(three, LOGITS, "softmax"), Limits(max_flips=0.01)) < 1


def test_large_drift_fails_even_without_a_flip() -> None:
    confident = np.eye(5, dtype=np.float32)[GENERATOR.integers(0, 5, 400)] * 6
    report = measure(confident * 0.5, confident, "softmax")
    assert report["flips"] == 0
    assert excess(report, Limits()) > 1


def test_one_bad_row_in_a_thousand_passes_and_two_in_a_hundred_do_not() -> None:
    wide = np.tile(np.array([4, 0, 0, 0, 0], np.float32), (1000, 1))
    for bad, passes in ((1, True), (20, False)):
        moved = wide.copy()
        moved[:bad, 1] += 3.5  # no flip, but a large move of probability
        report = measure(moved, wide, "softmax")
        assert report["worst_row"] == 0
        assert (excess(report, Limits(max_drift=1)) <= 1) is passes


def test_a_scorer_is_limited_in_rank_mean_and_worst_row() -> None:
    shifted = SCORES + np.float32(0.006)
    assert excess(measure(shifted, SCORES, "identity"), Limits()) == pytest.approx(1.2, rel=1e-3)
    one = SCORES.copy()
    one[7] += 0.031
    report = measure(one, SCORES, "identity")
    assert report["worst_row"] == 7
    assert excess(report, Limits()) > 1
    assert excess(measure(np.full_like(SCORES, 0.5), SCORES, "identity"), Limits(max_drift=1)) > 1


def test_answers_with_nan_never_pass() -> None:
    broken = LOGITS.copy()
    broken[3, 2] = np.nan
    report = measure(broken, LOGITS, "softmax")
    assert excess(report, Limits(max_flips=1, max_drift=1)) == np.inf
    assert "1 of 400 rows" in describe(report)


def test_a_multi_label_answer_flips_if_a_logit_changes_sign() -> None:
    moved = LOGITS.copy()
    moved[5, 0] = -moved[5, 0]
    assert measure(moved, LOGITS, "sigmoid")["flips"] == pytest.approx(1 / 400)


@pytest.mark.parametrize("value", [0, -0.1, 1.5, float("nan")])
def test_a_limit_that_is_not_a_share_is_refused(value: float) -> None:
    with pytest.raises(ExportError, match="--max-drift"):
        Limits.of(None, value)


def test_a_score_through_a_sigmoid_is_measured_as_a_score_without_labels_that_could_flip() -> None:
    expected = np.linspace(-4, 4, 200, dtype=np.float32)[:, None]
    logits = expected + np.float32(0.01)
    report = measure(logits, expected, "sigmoid score")
    assert "flips" not in report
    assert report["spearman"] == pytest.approx(1)
    assert report["max_abs_delta"] == pytest.approx(0.01 / 4, rel=0.01)  # the steepest slope of a sigmoid
    assert not find_flips(-expected, expected, "sigmoid score").any()
