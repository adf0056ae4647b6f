"""Against the zero-shot-classification pipeline of transformers on checkpoints whose labels are those of inference."""

from pathlib import Path
from typing import Any

import pytest

import assay
from assay import Classifier, InputError, NumericalError
from assay.models.base import runner_of
from tests.runtime import tiny
from tests.runtime.demo_checkpoints import save_with_labels

TEXTS = ["What causes rain and snow in the mountains?", "Name a prime number.", "x"]
CANDIDATES = ["weather", "arithmetic", "a good question"]
HEADS = {
    "first": ["entailment", "neutral", "contradiction"],
    "last": ["CONTRADICTION", "NEUTRAL", "ENTAILMENT"],
    "two labels": ["entailment", "not_entailment"],
    "two labels, last": ["not_entailment", "Entails"],
    "in the middle": ["contradiction", "other", "Entail", "neutral", "entailment"],
}


@pytest.fixture(scope="module")
def nli(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """A tiny model of inference, to test arguments."""
    labels = ["contradiction", "entailment", "neutral"]
    return assay.load_classifier(tiny.write(tmp_path_factory.mktemp("bundles") / "nli", labels=labels), threads=1)


@pytest.mark.parametrize("head", HEADS)
def test_the_numbers_are_those_of_the_pipeline(head: str, tmp_path: Path) -> None:
    transformers: Any = pytest.importorskip("transformers", reason="the right numbers are those of its pipeline")
    from assay_export import export

    checkpoint = save_with_labels(tmp_path / "checkpoint", HEADS[head])
    export(checkpoint, tmp_path / "bundle", input="pair")
    pipeline = transformers.pipeline("zero-shot-classification", model=str(checkpoint), device="cpu")
    model = assay.load_classifier(tmp_path / "bundle", threads=1)
    calls: list[dict[str, Any]] = [
        {},
        {"multi_label": True},
        {"hypothesis_template": "The text is about {0}."},
    ]
    for options in calls:
        for labels in (CANDIDATES, CANDIDATES[:1], "weather, arithmetic"):
            assert_same(model.zero_shot(TEXTS, labels, **options), pipeline(TEXTS, labels, **options))
    assert_same(model.zero_shot(TEXTS[0], CANDIDATES), pipeline(TEXTS[0], CANDIDATES))


def assert_same(ours: Any, theirs: Any) -> None:
    """The same nesting, keys and order of labels, scores to 1e-4."""
    assert type(ours) is type(theirs)
    if isinstance(ours, list):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other)
    else:
        assert list(ours) == list(theirs) == ["sequence", "labels", "scores"]
        assert ours["sequence"] == theirs["sequence"]
        assert ours["labels"] == theirs["labels"]
        assert ours["scores"] == pytest.approx(theirs["scores"], abs=1e-4)
        assert {type(score) for score in ours["scores"]} == {float}


def test_all_pairs_are_one_batch_and_each_text_is_encoded_once(
    nli: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = runner_of(nli)
    texts, calls = [], []
    encode_texts, session = runner.tokenizer.encode_texts, runner.engine.get().session
    answer = session.answer

    def record_texts(asked: Any) -> Any:
        texts.extend(asked)
        return encode_texts(asked)

    def record_call(tokens: Any) -> Any:
        calls.append(len(tokens))
        return answer(tokens)

    monkeypatch.setattr(runner.tokenizer, "encode_texts", record_texts)
    monkeypatch.setattr(session, "answer", record_call)
    nli.zero_shot(["what", "rain"], ["b", "c"], "{}")
    assert [text for text in texts if text != "a"] == ["b", "c", "what", "rain"]
    assert calls == [4]


def test_many_texts_have_the_answers_that_each_has_alone(nli: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.models.runner._ROWS_PER_WINDOW", 5)
    texts = [f"{word} rain {word}" for word in tiny.WORDS[6:]]
    assert_same(nli.zero_shot(texts, ["b", "c d"]), [nli.zero_shot(text, ["b", "c d"]) for text in texts])


def test_progress_and_a_limit_of_tokens_change_no_answer(
    nli: Classifier, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tqdm", reason="tqdm is not installed: pip install tqdm")
    expected = nli.zero_shot(TEXTS, CANDIDATES)
    session = runner_of(nli).engine.get().session
    calls: list[int] = []
    answer = session.answer

    def record(tokens: Any) -> Any:
        calls.append(len(tokens))
        return answer(tokens)

    monkeypatch.setattr(session, "answer", record)
    assert_same(nli.zero_shot(TEXTS, CANDIDATES, progress=True, batch_tokens=1), expected)
    assert "9/9" in capfd.readouterr().err
    assert calls == [1] * 9
    with pytest.raises(InputError, match="progress is the int 1"):
        nli.zero_shot(TEXTS, CANDIDATES, progress=1)  # type: ignore[arg-type]


def test_entailment_may_be_named(judge: Classifier) -> None:
    answer: Any = judge.zero_shot("a", ["b", "c"], "{}", entailment="NOADDR_ON")
    logits = judge.logits([("a", "b"), ("a", "c")])[:, 2]
    assert answer["labels"] == (["b", "c"] if logits[0] >= logits[1] else ["c", "b"])
    with pytest.raises(
        InputError, match=r"found no entailment among the model's labels ADDR_DIRECT, .*entailment=LABEL"
    ):
        judge.zero_shot("a", ["b"])
    wrong: Any
    for wrong in ("OTHER", 3):
        with pytest.raises(InputError, match=r"found ('OTHER'|the int 3) among the model's labels"):
            judge.zero_shot("a", ["b"], entailment=wrong)


def test_no_texts_have_no_answers_and_equal_scores_keep_the_order_of_the_labels(nli: Classifier) -> None:
    assert nli.zero_shot([], ["a"]) == []
    answer: Any = nli.zero_shot("a", ["zebra", "apple", "moon"], "{}")  # three words that are unknown to the tokenizer
    assert answer["labels"] == ["zebra", "apple", "moon"]


@pytest.mark.parametrize(
    "template", ["no field", "{label}", "{} {}", "{0.__class__}", "{:>99}", "{!r}", "{", "{{}}", "", "{1}"]
)
def test_a_template_without_a_place_for_the_label_is_refused(template: str, nli: Classifier) -> None:
    with pytest.raises(InputError, match=r"hypothesis_template is .* expected a text with \{\} where the label goes"):
        nli.zero_shot("a", ["b"], template)


def test_wrong_arguments_are_refused(nli: Classifier, tagger: Classifier) -> None:
    labels: Any
    for labels, found in (
        ([], "is empty"),
        ("", "is empty"),
        (None, "is None"),
        ({"a"}, "is a set"),
        (3, "is the int"),
    ):
        with pytest.raises(InputError, match=f"labels {found}"):
            nli.zero_shot("a", labels)
    with pytest.raises(InputError, match="label 1: found None"):
        nli.zero_shot("a", ["b", None])  # type: ignore[list-item]
    with pytest.raises(InputError, match="labels: found 'b' twice"):
        nli.zero_shot("a", ["b", "c", "b"])
    with pytest.raises(InputError, match="hypothesis_template: found None"):
        nli.zero_shot("a", ["b"], None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="multi_label is a str"):
        nli.zero_shot("a", ["b"], multi_label="no")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="row 1: found None"):
        nli.zero_shot(["a", None], ["b"])
    with pytest.raises(InputError, match="zero_shot asks for pairs of texts, this bundle reads one text"):
        tagger.zero_shot("a", ["b"])


def test_an_error_has_the_index_of_the_text_and_not_of_the_pair(nli: Classifier) -> None:
    with pytest.raises(NumericalError, match=r"row 1, label 0 has the logits") as caught:
        nli.zero_shot(["a", "nan", "b"], ["c", "d", "e"])
    assert caught.value.row == 1
