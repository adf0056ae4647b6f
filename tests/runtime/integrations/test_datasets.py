import pickle
from pathlib import Path
from typing import Any

import pytest

import assay
from assay import Classifier, InputError, Scorer
from tests.runtime import tiny

datasets = pytest.importorskip("datasets", reason="datasets is not installed: pip install datasets")

WORDS = ["a", "b c", "what causes rain", "d", "e f", "g"] * 2


@pytest.fixture(autouse=True)
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Nothing in the user's cache, nothing on the terminal."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


def annotator(*arguments: Any, **options: Any) -> Any:
    return assay.integrations.datasets.Annotator(*arguments, threads=1, **options)


def test_two_processes_answer_as_the_model(score_bundle: Path, scorer: Scorer) -> None:
    data = datasets.Dataset.from_dict({"text": WORDS, "id": list(range(len(WORDS)))})
    asked = annotator(score_bundle, text="text", columns=["score", "evol_complexity"], scale=(0, 100))
    answered = data.map(asked, batched=True, batch_size=4, num_proc=2)
    assert answered["id"][:] == list(range(len(WORDS)))
    assert answered["score"][:] == pytest.approx(scorer.score_batch(WORDS, scale=(0, 100)).tolist(), rel=1e-6)
    assert answered["evol_complexity"][:] == scorer.evol_complexity_batch(WORDS).tolist()


def test_pairs_and_the_scores_of_every_label(pair_bundle: Path, judge: Classifier) -> None:
    data = datasets.Dataset.from_dict({"q": ["a", "b"], "r": ["c", ""]})
    answered = data.map(annotator(pair_bundle, pair=("q", "r"), columns=["label", "scores"]), batched=True)
    expected = judge.predict_batch([("a", "c"), ("b", "")])
    assert answered["label"][:] == [prediction.label for prediction in expected]
    assert answered[0]["scores"] == expected[0].scores


def test_several_labels_are_a_list(text_bundle: Path, tagger: Classifier) -> None:
    texts = ["rain is water", "a", "nan"]
    asked = annotator(text_bundle, text="text", threshold=0.3, on_error="null")
    data = datasets.Dataset.from_dict({"text": texts})
    answered = data.map(asked, batched=True, features=asked.features(data))
    expected = [prediction.labels for prediction in tagger.predict_batch(texts[:2], threshold=0.3)]
    assert answered["labels"][:] == [*expected, None]


def test_the_same_work_is_a_cache_hit_and_another_bundle_is_not(tmp_path: Path, score_bundle: Path) -> None:
    from datasets.fingerprint import Hasher

    first = annotator(score_bundle, text="text")
    before = Hasher.hash(first)
    first({"text": ["a"]})  # a loaded model is no part of it
    assert Hasher.hash(first) == before
    assert Hasher.hash(pickle.loads(pickle.dumps(first))) == before
    assert Hasher.hash(annotator(score_bundle, text="text")) == before
    assert Hasher.hash(annotator(score_bundle, text="text", scale=(0, 1))) != before
    folder = tmp_path / "bundle"
    tiny.write(folder, **tiny.REGRESSION)
    old = Hasher.hash(annotator(folder, text="text"))
    tiny.reseal(folder, tiny.document(**tiny.REGRESSION, name="newer"))
    assert Hasher.hash(annotator(folder, text="text")) != old


def test_a_null_is_refused_or_null_in_the_answer(score_bundle: Path) -> None:
    data = datasets.Dataset.from_dict({"text": ["a", "b", "c", None]})
    with pytest.raises(InputError, match=r"row 3: .* found None"):
        data.map(annotator(score_bundle, text="text"), batched=True)
    asked = annotator(score_bundle, text="text", on_error="null", columns=["score", "evol_complexity"])
    # The first batch has no error, so that its type has to be said.
    answered = data.map(asked, batched=True, batch_size=2, features=asked.features(data))
    assert [row is None for row in answered["score"]] == [False, False, False, True]
    assert [row is None for row in answered["evol_complexity"]] == [False, False, False, True]
    assert [row is None for row in answered["error"]] == [True, True, True, False]
    assert answered.features["score"].dtype == "float32"


def test_wrong_arguments_are_refused(score_bundle: Path, tmp_path: Path) -> None:
    data = datasets.Dataset.from_dict({"text": ["a"], "score": [1.0]})
    with pytest.raises(InputError, match="column 'score' is there already"):
        data.map(annotator(score_bundle, text="text"), batched=True)
    with pytest.raises(InputError, match="column 'prompt' is missing, found 'text', 'score'"):
        data.map(annotator(score_bundle, text="prompt"), batched=True)
    with pytest.raises(InputError, match="columns: found 'label'"):
        annotator(score_bundle, text="text", columns=["label"])
    with pytest.raises(assay.BundleError, match="no such folder"):
        annotator(tmp_path / "none", text="text")


@pytest.mark.parametrize("texts", [["abc"], [None]])
def test_one_row_at_a_time_is_refused_and_not_read_letter_by_letter(score_bundle: Path, texts: list[Any]) -> None:
    data = datasets.Dataset.from_dict({"text": texts})
    with pytest.raises(InputError, match="found one row, expected a batch"):
        data.map(annotator(score_bundle, text="text"))
