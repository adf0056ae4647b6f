import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from assay import Classifier, InputError, NumericalError, Prediction
from assay.models.activations import sigmoid, softmax

LOGITS = arrays.arrays(np.float32, (4, 5), elements=st.floats(-1e4, 1e4, width=32))


def test_a_prediction_is_the_best_label_with_the_scores_of_all(judge: Classifier) -> None:
    prediction = judge.predict("what causes rain", "rain forms")
    (logits,) = judge.logits([("what causes rain", "rain forms")])
    assert isinstance(prediction, Prediction)
    assert prediction.label == judge.labels[int(logits.argmax())]
    assert prediction.score == prediction.scores[prediction.label] == max(prediction.scores.values())
    assert tuple(prediction.scores) == judge.labels
    assert sum(prediction.scores.values()) == pytest.approx(1, abs=1e-6)
    assert {type(score) for score in prediction.scores.values()} == {float}


def test_the_predictions_of_a_batch_are_in_the_order_of_its_rows(judge: Classifier) -> None:
    pairs = [("a " * number, "b") for number in range(12)]
    for prediction, (text, text_pair) in zip(judge.predict_batch(pairs), pairs, strict=True):
        single = judge.predict(text, text_pair)
        assert prediction.label == single.label
        assert prediction.scores == pytest.approx(single.scores, abs=1e-6)


def test_a_multi_label_bundle_has_one_sigmoid_per_label(tagger: Classifier) -> None:
    (logits,) = tagger.logits(["rain is water"])
    prediction = tagger.predict("rain is water")
    assert list(prediction.scores.values()) == pytest.approx(
        (1 / (1 + np.exp(-logits.astype(float)))).tolist(), abs=1e-6
    )


def test_predictions_can_be_members_of_a_set(judge: Classifier) -> None:
    first, second, other = judge.predict("a", "b"), judge.predict("a", "b"), judge.predict("rain", "water")
    assert first is not second
    assert {first, second, other} == {first, other}
    assert len({first, second, other}) == 2
    assert json.loads(json.dumps(first.scores)) == first.scores


def test_the_predictions_of_a_callers_logits_are_those_of_the_model(judge: Classifier, tagger: Classifier) -> None:
    pairs = [("a", "b"), ("rain", "water")]
    assert judge.predictions(judge.logits(pairs)) == judge.predict_batch(pairs)
    assert judge.predictions(judge.logits(pairs).astype(np.float64)) == judge.predict_batch(pairs)
    assert judge.predictions(np.empty((0, 3), np.float32)) == []
    assert tagger.predictions(tagger.logits(["a"])) == tagger.predict_batch(["a"])


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        (np.zeros((2, 4), np.float32), r"logits has the shape \[2, 4\], expected \[n, 3\]"),
        (np.zeros(3, np.float32), r"logits has the shape \[3\], expected \[n, 3\]"),
        (np.zeros((1, 3, 1), np.float32), "logits has the shape"),
        (np.array([["a", "b", "c"]]), "logits is an object of type ndarray, expected a numpy array of numbers"),
        ([[0.0, 1.0, 2.0]], "logits is a list of 1, expected a numpy array"),
    ],
)
def test_logits_of_another_shape_are_refused(logits: Any, message: str, judge: Classifier) -> None:
    with pytest.raises(InputError, match=message):
        judge.predictions(logits)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_non_finite_logits_are_never_a_prediction(value: float, judge: Classifier) -> None:
    logits = np.zeros((3, 3), np.float32)
    logits[1, 2] = value
    with pytest.raises(NumericalError, match="row 1 has the logits") as caught:
        judge.predictions(logits)
    assert caught.value.row == 1


def test_a_prediction_cannot_be_changed(judge: Classifier) -> None:
    with pytest.raises(AttributeError):
        judge.predict("a", "b").label = "other"  # type: ignore[misc]


@given(logits=LOGITS)
def test_softmax_is_to_the_bit_that_of_transformers(logits: np.ndarray) -> None:
    pipeline = pytest.importorskip("transformers.pipelines.text_classification")
    for row, ours in zip(logits, softmax(logits), strict=True):
        assert np.array_equal(pipeline.softmax(row), ours)


@pytest.mark.filterwarnings("ignore:overflow encountered in exp")
@given(logits=LOGITS)
def test_sigmoid_is_to_the_bit_that_of_transformers(logits: np.ndarray) -> None:
    pipeline = pytest.importorskip("transformers.pipelines.text_classification")
    for row, ours in zip(logits, sigmoid(logits), strict=True):
        assert np.array_equal(pipeline.sigmoid(row), ours)


@pytest.mark.filterwarnings("error")
@given(logits=LOGITS)
def test_scores_are_probabilities_without_a_warning(logits: np.ndarray) -> None:
    for scores in (softmax(logits), sigmoid(logits)):
        assert scores.dtype == np.float32
        assert ((scores >= 0) & (scores <= 1)).all()
    assert np.allclose(softmax(logits).sum(axis=1), 1, atol=1e-5)
