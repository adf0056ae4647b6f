import pytest

from assay import Classifier, InputError, Scorer
from assay.annotate.columns import Columns, choose_columns
from assay.models.streams.streaming import answer_windows


def test_the_columns_of_a_classifier_are_label_and_score_by_default(judge: Classifier) -> None:
    assert [column.name for column in choose_columns(judge.manifest, None)] == ["label", "score"]
    (column,) = choose_columns(judge.manifest, ["scores"])
    assert column.labels == judge.labels


def test_the_column_of_a_regression_is_its_score_by_default(scorer: Scorer) -> None:
    assert [column.name for column in choose_columns(scorer.manifest, None)] == ["score"]
    both = ["evol_complexity", "score"]
    assert [column.name for column in choose_columns(scorer.manifest, both)] == both


def test_the_columns_of_a_multi_label_bundle_are_labels_and_scores_by_default(
    tagger: Classifier, judge: Classifier
) -> None:
    assert [column.name for column in choose_columns(tagger.manifest, None)] == ["labels", "scores"]
    assert [column.name for column in choose_columns(tagger.manifest, ["label", "score"])] == ["label", "score"]
    with pytest.raises(InputError, match="columns: found 'labels', expected of this classification bundle label, "):
        choose_columns(judge.manifest, ["labels"])


@pytest.mark.parametrize("names", [["label", "evol_complexity"], ["Label"], [""], ["label", "label"], []])
def test_a_column_that_the_bundle_does_not_answer_is_refused(judge: Classifier, names: list[str]) -> None:
    with pytest.raises(InputError, match=r"^columns: found"):
        choose_columns(judge.manifest, names)


def test_values_are_those_of_the_model_or_none_for_a_failed_row(judge: Classifier, scorer: Scorer) -> None:
    batch = [("a", "b"), ("c", "d")]
    (answered,) = answer_windows(judge, [batch])
    best, other = judge.predict_batch(batch)
    columns = Columns(choose_columns(judge.manifest, ["scores", "label"]), None, errors=False)
    assert columns.tabulate(judge, answered, {}) == [(best.scores, best.label), (other.scores, other.label)]
    columns = Columns(choose_columns(scorer.manifest, ["score", "evol_complexity"]), (0.0, 100.0), errors=True)
    (answered,) = answer_windows(scorer, [["a", InputError("b\nc")]])
    assert columns.tabulate(scorer, answered, answered.errors) == [
        (scorer.score("a", scale=(0, 100)), scorer.evol_complexity("a"), None),
        (None, None, "b c"),
    ]


def test_a_window_of_which_every_row_failed_has_no_values(judge: Classifier) -> None:
    columns = Columns(choose_columns(judge.manifest, None), None, errors=True)
    (answered,) = answer_windows(judge, [[InputError("x")]])
    assert columns.tabulate(judge, answered, answered.errors) == [(None, None, "x")]
