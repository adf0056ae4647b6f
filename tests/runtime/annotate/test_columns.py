import numpy as np
import pytest

from assay import Classifier, InputError, Scorer
from assay.annotate.columns import Columns, choose_columns


def test_a_classifier_gives_label_and_score_unless_asked_for_more(judge: Classifier) -> None:
    assert [column.name for column in choose_columns(judge.manifest, None)] == ["label", "score"]
    (column,) = choose_columns(judge.manifest, ["scores"])
    assert column.labels == judge.labels


def test_a_regression_gives_its_score_unless_asked_for_more(scorer: Scorer) -> None:
    assert [column.name for column in choose_columns(scorer.manifest, None)] == ["score"]
    both = ["evol_complexity", "score"]
    assert [column.name for column in choose_columns(scorer.manifest, both)] == both


@pytest.mark.parametrize("names", [["label", "evol_complexity"], ["Label"], [""], ["label", "label"], []])
def test_a_column_that_the_bundle_does_not_answer_is_refused(judge: Classifier, names: list[str]) -> None:
    with pytest.raises(InputError, match=r"^columns: found"):
        choose_columns(judge.manifest, names)


def test_values_are_those_of_the_model_and_nothing_where_a_row_failed(judge: Classifier, scorer: Scorer) -> None:
    batch = [("a", "b"), ("c", "d")]
    logits = judge.logits(batch)
    best, other = judge.predict_batch(batch)
    columns = Columns(choose_columns(judge.manifest, ["scores", "label"]), None, errors=False)
    assert columns.of(judge, logits, {}) == [(best.scores, best.label), (other.scores, other.label)]
    columns = Columns(choose_columns(scorer.manifest, ["score", "evol_complexity"]), (0.0, 100.0), errors=True)
    logits = np.concatenate([scorer.logits(["a"]), np.full((1, 1), np.nan, np.float32)])
    assert columns.of(scorer, logits, {1: InputError("b\nc")}) == [
        (scorer.score("a", scale=(0, 100)), scorer.evol_complexity("a"), None),
        (None, None, "b c"),
    ]


def test_a_window_of_which_every_row_failed_has_no_values(judge: Classifier) -> None:
    columns = Columns(choose_columns(judge.manifest, None), None, errors=True)
    assert columns.of(judge, np.full((1, 3), np.nan, np.float32), {0: InputError("x")}) == [(None, None, "x")]
