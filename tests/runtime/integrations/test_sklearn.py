"""Against scikit-learn itself: its Pipeline, metrics, clone and cross-validation."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import assay
from assay import Classifier, InputError, Scorer

pytest.importorskip("sklearn", reason="scikit-learn is not installed: pip install scikit-learn")

PAIRS = [("what causes rain", "rain forms"), ("a", "b"), ("c d", "e f g"), ("rain", "water is a")]
TEXTS = ["what causes rain", "a", "c d", "water is a"]


def estimator(bundle: Any, **options: Any) -> Any:
    return assay.integrations.sklearn.BundleClassifier(bundle, **({"threads": 1} | options))


def test_a_pipeline_predicts_as_the_model_does_without_and_after_fit(judge: Classifier, pair_bundle: Path) -> None:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    pipeline = make_pipeline(
        FunctionTransformer(lambda pairs: [(a.strip(), b) for a, b in pairs]), estimator(pair_bundle)
    )
    padded = [(f"  {text} ", pair) for text, pair in PAIRS]
    labels = [prediction.label for prediction in judge.predict_batch(PAIRS)]
    assert pipeline.predict(padded).tolist() == labels
    assert pipeline.fit(padded, labels).predict(padded).tolist() == labels
    assert np.allclose(pipeline.predict_proba(padded), judge.predict_proba(PAIRS), atol=1e-6)
    assert pipeline.classes_.tolist() == list(judge.labels)
    assert pipeline.score(padded, labels) == 1.0
    wrong = [judge.labels[0] if label != judge.labels[0] else judge.labels[1] for label in labels[:1]] + labels[1:]
    assert pipeline.score(padded, wrong) == 0.75


@pytest.mark.filterwarnings("ignore:The least populated class")
def test_cross_validation_clones_the_estimator_and_loads_the_bundle_once(judge: Classifier, pair_bundle: Path) -> None:
    from sklearn.base import clone, is_classifier
    from sklearn.model_selection import cross_val_score

    made = estimator(pair_bundle)
    labels = [prediction.label for prediction in judge.predict_batch(PAIRS)]
    assert is_classifier(made)
    assert cross_val_score(made, PAIRS * 2, labels * 2, cv=2).tolist() == [1.0, 1.0]
    assert clone(made)._load() is made._load()
    assert pickle.loads(pickle.dumps(made)).predict(PAIRS).tolist() == labels
    assert repr(made).startswith("BundleClassifier(")


def test_a_table_has_a_column_per_text(judge: Classifier, pair_bundle: Path, text_bundle: Path) -> None:
    array = np.array(PAIRS, dtype=object)
    assert np.array_equal(estimator(pair_bundle).predict_proba(array), estimator(pair_bundle).predict_proba(PAIRS))
    assert estimator(judge).predict(array).tolist() == [item.label for item in judge.predict_batch(PAIRS)]
    column = np.array(TEXTS, dtype=object)[:, None]
    assert np.array_equal(estimator(text_bundle).predict(column), estimator(text_bundle).predict(TEXTS))


def test_a_multi_label_bundle_predicts_an_indicator_of_its_labels(tagger: Classifier, text_bundle: Path) -> None:
    from sklearn.metrics import f1_score

    made = estimator(text_bundle, threshold=0.4)
    expected = [
        [int(label in prediction.labels) for label in tagger.labels]
        for prediction in tagger.predict_batch(TEXTS, threshold=0.4)
    ]
    assert made.predict(TEXTS).tolist() == expected
    assert made.fit(TEXTS, expected).score(TEXTS, np.array(expected)) == 1.0
    assert f1_score(np.array(expected), made.predict(TEXTS), average="micro") == 1.0
    with pytest.raises(InputError, match=r"y has the shape \[4\], expected 0 or 1 for each of 3 labels"):
        made.fit(TEXTS, ["ADDR_DIRECT"] * 4)


def test_probabilities_have_the_order_of_the_labels(judge: Classifier) -> None:
    assert judge.classes_.tolist() == list(judge.labels)
    probabilities = judge.predict_proba(PAIRS)
    assert probabilities.shape == (4, 3)
    assert probabilities.dtype == np.float32
    for row, prediction in zip(probabilities, judge.predict_batch(PAIRS), strict=True):
        assert row.tolist() == list(prediction.scores.values())
    assert judge.predict_proba([]).shape == (0, 3)


def test_fit_refuses_what_the_bundle_cannot_answer(pair_bundle: Path, scorer: Scorer) -> None:
    made = estimator(pair_bundle)
    good = ["ADDR_DIRECT"] * 4
    with pytest.raises(
        InputError, match="y, row 1: found the label 'POSITIVE', expected of this bundle ADDR_DIRECT"
    ) as caught:
        made.fit(PAIRS, ["ADDR_DIRECT", "POSITIVE", "ADDR_DIRECT", "ADDR_DIRECT"])
    assert caught.value.row == 1
    with pytest.raises(InputError, match="y, row 0: found the label the int 0"):
        made.fit(PAIRS, [0, 1, 2, 0])
    with pytest.raises(InputError, match="y has 3 entries, X has 4 rows"):
        made.fit(PAIRS, good[:3])
    with pytest.raises(InputError, match="y is the int 3, expected one label per row of X"):
        made.fit(PAIRS, 3)
    with pytest.raises(InputError, match="row 0: found a str"):
        made.fit(TEXTS, good)
    with pytest.raises(InputError, match="the batch is a str"):
        made.predict("a")
    with pytest.raises(InputError, match="a regression, expected a classification bundle"):
        estimator(scorer).predict(TEXTS)
    with pytest.raises(InputError, match="truncate is a str"):
        estimator(pair_bundle, truncate="no").predict(PAIRS)
    assert made.fit([], []).predict([]).tolist() == []
