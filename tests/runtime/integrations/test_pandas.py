from pathlib import Path
from typing import Any

import pytest

import assay
from assay import Classifier, InputError, Scorer
from assay.models.base import runner_of

pandas = pytest.importorskip("pandas", reason="pandas is not installed: pip install pandas")


def annotate(*arguments: Any, **options: Any) -> Any:
    return assay.integrations.pandas.annotate(*arguments, **options)


def test_the_index_is_kept_and_the_answers_are_those_of_the_model(judge: Classifier, pair_bundle: Path) -> None:
    frame = pandas.DataFrame(
        {"q": ["what causes", "a", "b"], "r": ["rain", "c", ""]}, index=pandas.Index([7, 7, "x"], dtype=object)
    )
    answers = annotate(frame, pair_bundle, pair=("q", "r"), columns=["label", "score", "scores"], threads=1)
    expected = judge.predict_batch(list(zip(frame["q"], frame["r"], strict=True)))
    assert answers.index.equals(frame.index)
    assert answers["label"].tolist() == [prediction.label for prediction in expected]
    assert answers["score"].tolist() == [prediction.score for prediction in expected]
    assert answers["scores"].tolist() == [prediction.scores for prediction in expected]
    assert answers["score"].dtype == "float32"


def test_a_series_needs_no_names(scorer: Scorer) -> None:
    texts = pandas.Series(["a", "b c"], index=["x", "y"])
    answers = annotate(texts, scorer, columns=["score", "evol_complexity"], scale=(0, 10))
    assert answers["score"].tolist() == scorer.score_batch(["a", "b c"], scale=(0, 10)).tolist()
    assert answers["evol_complexity"].tolist() == scorer.evol_complexity_batch(["a", "b c"]).tolist()
    assert list(answers.index) == ["x", "y"]


@pytest.mark.parametrize("missing", [None, float("nan"), pandas.NA])
@pytest.mark.parametrize("dtype", ["object", "str", "string"])
def test_a_missing_cell_is_refused_or_missing_in_the_answer(missing: Any, dtype: str, scorer: Scorer) -> None:
    texts = pandas.Series(["a", missing, "b"], dtype=dtype)
    with pytest.raises(InputError, match=r"row 1: .* expected a text") as caught:
        annotate(texts, scorer)
    assert caught.value.row == 1
    answers = annotate(texts, scorer, columns=["score", "evol_complexity"], on_error="null")
    assert answers["score"].isna().tolist() == [False, True, False]
    assert answers["evol_complexity"].isna().tolist() == [False, True, False]
    assert answers["error"].isna().tolist() == [True, False, True]


def test_an_empty_frame_gets_the_columns(judge: Classifier) -> None:
    answers = annotate(pandas.DataFrame({"q": [], "r": []}), judge, pair=("q", "r"))
    assert (list(answers.columns), len(answers)) == (["label", "score"], 0)


def test_wrong_arguments_are_refused(judge: Classifier, scorer: Scorer) -> None:
    frame = pandas.DataFrame({"q": ["a"], "label": ["b"]})
    with pytest.raises(InputError, match="column 'label' is there already"):
        annotate(frame, judge, pair=("q", "label"))
    with pytest.raises(InputError, match="column 'x' is missing, found 'q', 'label'"):
        annotate(frame, scorer, text="x")
    with pytest.raises(InputError, match="only with a DataFrame"):
        annotate(frame["q"], scorer, text="q")
    with pytest.raises(InputError, match="data is a list of 1, expected a pandas Series or DataFrame"):
        annotate(["a"], scorer)
    twice = pandas.DataFrame([["a", "b"]], columns=["q", "q"])
    with pytest.raises(InputError, match="two columns of one name"):
        annotate(twice, scorer, text="q")


def test_a_column_that_is_taken_is_refused_before_anything_runs(
    scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_of(scorer), "answer", None)
    frame = pandas.DataFrame({"text": ["a"], "error": [""]})
    with pytest.raises(InputError, match="column 'error' is there already"):
        annotate(frame, scorer, text="text", on_error="null")
