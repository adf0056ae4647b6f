"""Whether a peer's answers are PyTorch's: what fails, what passes, and what random weights cannot tell."""

import numpy as np
import pytest

from benchmarks.suite.report.parity import FP32_TOLERANCE, compare, judge

EXPECTED = np.array([[2.0, -1.0], [-3.0, 1.0], [0.5, 0.2], [4.0, -2.0]], np.float32)


def test_the_report_of_known_logits() -> None:
    logits = EXPECTED.copy()
    logits[2] = [0.1, 0.4]
    report = compare(logits, EXPECTED, "softmax")
    assert report["max_abs_delta_logit"] == pytest.approx(0.4)
    assert report["mean_abs_delta_logit"] == pytest.approx(0.6 / 8)
    assert report["flips"] == 0.25
    assert report["spearman"] == pytest.approx(1.0)
    assert judge(report, "int8", random_weights=False) == "failed"


def test_float32_fails_past_its_tolerance_whatever_the_weights() -> None:
    close = compare(EXPECTED + np.float32(FP32_TOLERANCE / 2), EXPECTED, "softmax")
    far = compare(EXPECTED + np.float32(FP32_TOLERANCE * 2), EXPECTED, "softmax")
    for random_weights in (False, True):
        assert judge(close, "fp32", random_weights) == "passed"
        assert judge(far, "fp32", random_weights) == "failed"


def test_less_than_float32_is_held_to_the_int8_gate() -> None:
    report = compare(EXPECTED + np.float32(0.001), EXPECTED, "softmax")
    assert judge(report, "int8", random_weights=False) == "passed"
    assert judge(report, "bf16", random_weights=False) == "passed"


def test_on_random_weights_reduced_precision_is_not_judged_unless_it_is_no_better_than_a_constant() -> None:
    drifted = compare(EXPECTED * np.float32(0.8), EXPECTED, "softmax")
    assert judge(drifted, "int8", random_weights=True) == "not judged"
    constant = compare(np.full_like(EXPECTED, -5.0), EXPECTED, "softmax")
    assert judge(constant, "int8", random_weights=True) == "failed"


@pytest.mark.parametrize("wrong", [EXPECTED * np.nan, EXPECTED[:2], EXPECTED[:, :1]])
def test_answers_that_are_no_answers_fail(wrong: np.ndarray) -> None:
    assert judge(compare(wrong, EXPECTED, "softmax"), "fp32", random_weights=True) == "failed"


def test_a_scorer_that_ranks_nothing_fails() -> None:
    expected = np.linspace(0, 1, 8, dtype=np.float32)[:, None]
    report = compare(np.full_like(expected, 0.5), expected, "identity")
    assert report["spearman"] == 0.0
    assert "flips" not in report
    assert judge(report, "int8", random_weights=False) == "failed"
