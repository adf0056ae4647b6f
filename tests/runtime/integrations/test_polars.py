from pathlib import Path
from typing import Any

import numpy as np
import pytest

import assay
from assay import Classifier, InputError, Scorer
from assay.models.base import runner_of

polars = pytest.importorskip("polars", reason="polars is not installed: pip install polars")


def annotate(*arguments: Any, **options: Any) -> Any:
    return assay.integrations.polars.annotate(*arguments, **options)


def test_the_answers_are_those_of_the_model_and_scores_are_a_struct(judge: Classifier, pair_bundle: Path) -> None:
    frame = polars.DataFrame({"q": ["what causes", "a"], "r": ["rain", "c"]})
    answers = annotate(frame, pair_bundle, pair=("q", "r"), columns=["label", "scores"], threads=1)
    expected = judge.predict_batch(list(frame.iter_rows()))
    assert answers["label"].to_list() == [prediction.label for prediction in expected]
    for label in judge.labels:
        got = answers["scores"].struct.field(label)
        assert got.dtype == polars.Float32
        assert got.to_list() == [np.float32(prediction.scores[label]) for prediction in expected]
    assert frame.hstack(answers).columns == ["q", "r", "label", "scores"]
    assert answers.to_struct("answer").struct.fields == ["label", "scores"]


def test_a_series_needs_no_names(scorer: Scorer) -> None:
    answers = annotate(polars.Series(["a", "b c"]), scorer, columns=["score", "evol_complexity"])
    assert answers["score"].to_list() == scorer.score_batch(["a", "b c"]).tolist()
    assert answers["evol_complexity"].to_list() == scorer.evol_complexity_batch(["a", "b c"]).tolist()
    assert answers.schema == {"score": polars.Float32, "evol_complexity": polars.Int64}


def test_several_labels_are_a_list(tagger: Classifier) -> None:
    texts = polars.Series(["rain is water", "a", "nan"])
    answers = annotate(texts, tagger, threshold=0.3, on_error="null")
    expected = [prediction.labels for prediction in tagger.predict_batch(texts.to_list()[:2], threshold=0.3)]
    assert answers["labels"].to_list() == [*expected, None]
    assert answers.schema["labels"] == polars.List(polars.String)
    assert answers.columns == ["labels", "scores", "error"]


def test_a_null_is_refused_or_null_in_the_answer(scorer: Scorer) -> None:
    texts = polars.Series(["a", None, "b"])
    with pytest.raises(InputError, match=r"row 1: .* found None, expected a text"):
        annotate(texts, scorer)
    answers = annotate(texts, scorer, columns=["score", "evol_complexity"], on_error="null")
    assert answers["score"].is_null().to_list() == [False, True, False]
    assert answers["evol_complexity"].is_null().to_list() == [False, True, False]
    assert answers["error"].is_null().to_list() == [True, False, True]
    assert answers.schema["error"] == polars.String


def test_a_frame_without_rows_gets_the_columns(judge: Classifier) -> None:
    frame = polars.DataFrame(schema={"q": polars.String, "r": polars.String})
    answers = annotate(frame, judge, pair=("q", "r"), columns=["label", "scores"])
    assert (answers.columns, answers.height) == (["label", "scores"], 0)


def test_wrong_arguments_are_refused(judge: Classifier, scorer: Scorer) -> None:
    frame = polars.DataFrame({"q": ["a"], "label": ["b"], "n": [1]})
    with pytest.raises(InputError, match="column 'label' is there already"):
        annotate(frame, judge, pair=("q", "label"))
    with pytest.raises(InputError, match=r"row 0: .* found the int 1"):
        annotate(frame, scorer, text="n")
    with pytest.raises(InputError, match="expected a polars Series or DataFrame"):
        annotate(frame.lazy(), scorer, text="q")
    with pytest.raises(InputError, match="only with a DataFrame"):
        annotate(frame["q"], scorer, text="q")


def test_a_column_that_is_taken_is_refused_before_anything_runs(
    scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_of(scorer), "answer", None)
    frame = polars.DataFrame({"text": ["a"], "error": [""]})
    with pytest.raises(InputError, match="column 'error' is there already"):
        annotate(frame, scorer, text="text", on_error="null")
