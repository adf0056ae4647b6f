import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import Classifier, InputError, Scorer
from assay.models.thresholds import check_threshold

TEXTS = ["rain is water", "a", "b c d", "what causes rain"]
NUMBERS = st.floats(0, 1)


def test_a_row_has_the_labels_whose_probability_reaches_one_half(tagger: Classifier) -> None:
    predictions = tagger.predict_batch(TEXTS)
    for prediction, logits in zip(predictions, tagger.logits(TEXTS), strict=True):
        assert prediction.labels == [label for label, logit in zip(tagger.labels, logits, strict=True) if logit >= 0]
    assert {len(prediction.labels) for prediction in predictions} > {1}, "the texts must show several labels, or none"


@given(threshold=NUMBERS)
def test_one_threshold_is_for_all_labels(threshold: float, tagger: Classifier) -> None:
    (prediction,) = tagger.predict_batch(["rain is water"], threshold=threshold)
    assert prediction.labels == [label for label, score in prediction.scores.items() if score >= threshold]
    assert tagger.predict("rain is water", threshold=threshold) == prediction
    assert tagger.predictions(tagger.logits(["rain is water"]), threshold) == [prediction]


@given(limits=st.dictionaries(st.sampled_from(["ADDR_DIRECT", "ADDR_PARTIAL", "NOADDR_ON"]), NUMBERS))
def test_thresholds_by_label_leave_the_others_at_one_half(limits: dict[str, float], tagger: Classifier) -> None:
    prediction = tagger.predict("rain is water", threshold=limits)
    expected = [label for label, score in prediction.scores.items() if score >= limits.get(label, 0.5)]
    assert prediction.labels == expected


def test_the_ends_of_the_range_give_all_labels_and_hardly_any(tagger: Classifier) -> None:
    assert tagger.predict("a", threshold=0).labels == list(tagger.labels)
    assert tagger.predict("a", threshold=1).labels == []
    assert tagger.predict("a", threshold=1).label in tagger.labels


def test_a_row_of_another_bundle_has_its_best_label_alone(judge: Classifier) -> None:
    prediction = judge.predict("a", "b")
    assert prediction.labels == [prediction.label]


@pytest.mark.parametrize("number", [np.float32(0.5), np.float64(0.5), np.int64(1), 1, 0.25])
def test_a_threshold_is_a_number_of_any_kind(number: Any, tagger: Classifier) -> None:
    assert check_threshold(number, tagger.manifest) == (float(number),) * 3
    assert check_threshold({"NOADDR_ON": number}, tagger.manifest) == (0.5, 0.5, float(number))


@pytest.mark.parametrize(
    ("threshold", "message"),
    [
        (-0.1, "threshold is the float -0.1, expected a number from 0 to 1"),
        (1.5, "threshold is the float 1.5"),
        (50, "threshold is the int 50"),
        (math.nan, "threshold is nan"),
        (math.inf, "threshold is inf"),
        (True, "threshold is True"),
        ("0.5", "threshold is a str of 3 characters"),
        ([0.5, 0.5, 0.5], "threshold is a list of 3"),
        (np.array([0.5]), "threshold is an object of type ndarray"),
        ({"NOADDR_ON": 2}, "threshold of 'NOADDR_ON' is the int 2"),
        ({"NOADDR_ON": None}, "threshold of 'NOADDR_ON' is None"),
        ({"other": 0.5}, "threshold is for the label 'other', expected of this bundle ADDR_DIRECT, "),
        ({"a\x1b": 0.5}, r"threshold is for the label 'a\\x1b'"),
        ({0: 0.5}, "threshold is for the label the int 0"),
    ],
    ids=str,
)
def test_anything_else_is_refused_before_the_model_runs(
    threshold: Any, message: str, tagger: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object) -> None:
        raise AssertionError("the model ran")

    monkeypatch.setattr(Classifier, "_run_single", run)
    monkeypatch.setattr(Classifier, "logits", run)
    for call in (
        lambda: tagger.predict("a", threshold=threshold),
        lambda: tagger.predict_batch(["a"], threshold=threshold),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_a_threshold_for_another_bundle_is_refused(judge: Classifier, scorer: Scorer) -> None:
    with pytest.raises(InputError, match=r"threshold is the float 0.5, expected none: .* one label per row"):
        judge.predict("a", "b", threshold=0.5)
    with pytest.raises(InputError, match="this one has a score and no labels"):
        check_threshold({}, scorer.manifest)
    assert check_threshold(None, judge.manifest) is None
