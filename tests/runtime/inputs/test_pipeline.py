"""Against transformers' own pipeline around the same weights in torch."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import assay
from assay import Classifier, InputError, Scorer
from assay.models.base import runner_of
from tests.runtime import tiny

transformers = pytest.importorskip("transformers")
torch = pytest.importorskip("torch")

PAIRS = [
    {"text": "what causes rain", "text_pair": "rain forms when water is a b c d e f g a b c d e f g"},
    {"text": "a", "text_pair": "b"},
    {"text": "a", "text_pair": ""},
    {"text": "", "text_pair": "b"},
]
TEXTS = ["what causes rain", "", "a b c", "rain [SEP] water", "unknown words"]
TOP_K: list[dict[str, Any]] = [{}, {"top_k": None}, {"top_k": 1}, {"top_k": 2}, {"top_k": 99}]


def reference(labels: tuple[str, ...], problem_type: str) -> Any:
    """A transformers pipeline over the tiny bundles' weights."""
    arrays = {name: torch.from_numpy(array) for name, array in tiny.weights(len(labels)).items()}

    class Tiny(transformers.BertForSequenceClassification):  # type: ignore[misc, name-defined]
        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:  # noqa: ARG002
            mask = attention_mask[:, :, None].float()
            mean = (arrays["embedding"][input_ids] * mask).sum(dim=1) / mask.sum(dim=1)
            logits = mean @ arrays["kernel"] + arrays["bias"]
            return transformers.modeling_outputs.SequenceClassifierOutput(logits=logits)

    config = transformers.BertConfig(
        vocab_size=8, hidden_size=4, num_hidden_layers=1, num_attention_heads=1, intermediate_size=4
    )
    config.num_labels, config.problem_type = len(labels), problem_type
    config.id2label = dict(enumerate(labels))
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=tiny.tokenizer(), pad_token="[PAD]")
    return transformers.pipeline(
        "text-classification", model=Tiny(config), tokenizer=tokenizer, device="cpu", truncation=True, max_length=16
    )


def assert_same(ours: Any, theirs: Any) -> None:
    """The same nesting, keys, labels and order, scores to float32's last bits."""
    assert type(ours) is type(theirs)
    if isinstance(ours, list):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other)
    else:
        assert ours.keys() == theirs.keys() == {"label", "score"}
        assert ours["label"] == theirs["label"]
        assert type(ours["score"]) is type(theirs["score"]) is float
        assert ours["score"] == pytest.approx(theirs["score"], abs=2e-6)


@pytest.fixture(scope="module")
def pair_pipeline() -> Any:
    return reference(tiny.LABELS, "single_label_classification")


@pytest.fixture(scope="module")
def text_pipeline() -> Any:
    return reference(tiny.LABELS, "multi_label_classification")


@pytest.mark.parametrize("options", TOP_K)
def test_pairs_are_answered_as_by_the_pipeline(options: dict[str, Any], judge: Classifier, pair_pipeline: Any) -> None:
    for inputs in (*PAIRS, PAIRS, PAIRS[:1], []):
        assert_same(judge(inputs, **options), pair_pipeline(inputs, **options))


@pytest.mark.parametrize("options", TOP_K)
def test_texts_are_answered_as_by_the_pipeline(options: dict[str, Any], tagger: Classifier, text_pipeline: Any) -> None:
    for inputs in (*TEXTS, TEXTS, TEXTS[:1], [], {"text": "a b"}, [{"text": "a b"}, {"text": ""}]):
        assert_same(tagger(inputs, **options), text_pipeline(inputs, **options))


@pytest.mark.parametrize("options", [{}, {"top_k": None}, {"top_k": 1}])
def test_a_regression_is_answered_as_by_a_pipeline_with_its_problem_type(
    options: dict[str, Any], scorer: Scorer
) -> None:
    pipeline = reference(("LABEL_0",), "regression")
    for inputs in (*TEXTS, TEXTS, {"text": "a"}):
        assert_same(scorer(inputs, **options), pipeline(inputs, **options))


def test_a_single_logit_goes_through_no_sigmoid_unlike_in_the_pipeline(scorer: Scorer) -> None:
    pipeline = reference(("LABEL_0",), "single_label_classification")
    raw = scorer.score("a b")
    assert pipeline("a b")[0]["score"] == pytest.approx(1 / (1 + np.exp(-raw)), abs=1e-6)
    assert scorer("a b") == [{"label": "LABEL_0", "score": raw}]


def test_rows_are_accepted_as_well_as_dicts(judge: Classifier) -> None:
    dicts = [{"text": "a", "text_pair": "b"}, {"text": "c", "text_pair": "d"}]
    assert judge([("a", "b"), ["c", "d"]]) == judge(dicts) == judge(iter(dicts))


@pytest.mark.parametrize("top_k", [0, -1, True, 1.0, "all", [], b""])
def test_a_top_k_that_is_not_a_count_is_refused(top_k: Any, judge: Classifier) -> None:
    with pytest.raises(InputError, match="top_k is"):
        judge(PAIRS, top_k=top_k)


@pytest.mark.parametrize(
    "inputs",
    [
        "a",
        {"text": "a"},
        {"text_pair": "a"},
        {},
        {"text": "a", "text_pair": None},
        {"text": "a", "text_pair": "b", "label": "c"},
        {"text": "a", "text_pair": 3},
        {1: 2},
        ("a", "b"),
        [["a"]],
        None,
        3,
        {"a"},
    ],
)
def test_anything_but_a_pair_is_refused(inputs: Any, judge: Classifier) -> None:
    with pytest.raises(InputError):
        judge(inputs)


@pytest.mark.parametrize(
    "inputs", [{"text": "a", "text_pair": "b"}, [("a", "b")], {"text": None}, [None], {"texts": "a"}]
)
def test_anything_but_a_single_text_is_refused(inputs: Any, tagger: Classifier) -> None:
    with pytest.raises(InputError):
        tagger(inputs)


def test_a_dict_in_a_batch_is_refused_with_its_row(judge: Classifier) -> None:
    with pytest.raises(InputError, match="row 1: found a dict of text, expected text and text_pair") as caught:
        judge([PAIRS[0], {"text": "a"}])
    assert caught.value.row == 1


def test_the_bundles_truncation_applies(score_bundle: Path) -> None:
    scorer = assay.load(score_bundle, threads=1)
    with pytest.raises(InputError, match="the text has 42 tokens"):
        scorer("a " * 40)
    assert scorer("a " * 40, truncate=True) == scorer("a " * 14)


@pytest.mark.parametrize("function", ["sigmoid", "softmax", "none", "SIGMOID"])
@pytest.mark.parametrize("batch_size", [None, 1, 2, 99])
def test_a_function_and_a_batch_size_mean_what_they_mean_to_the_pipeline(
    function: str, batch_size: int | None, judge: Classifier, pair_pipeline: Any, scorer: Scorer
) -> None:
    options: dict[str, Any] = {"function_to_apply": function, "batch_size": batch_size}
    for more in TOP_K:
        assert_same(judge(PAIRS, **options, **more), pair_pipeline(PAIRS, **options, **more))
    assert_same(judge(PAIRS[0], **options), pair_pipeline(PAIRS[0], **options))
    regression = reference(("LABEL_0",), "regression")
    assert_same(scorer(TEXTS, **options), regression(TEXTS, **options))


def test_the_default_function_is_that_of_the_bundle(judge: Classifier) -> None:
    assert judge(PAIRS, function_to_apply="default") == judge(PAIRS, function_to_apply=None) == judge(PAIRS)


def test_a_batch_size_limits_the_rows_of_a_call(judge: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    session = runner_of(judge).engine.get().session
    calls: list[int] = []
    answer = session.answer

    def record(tokens: Any) -> Any:
        calls.append(len(tokens))
        return answer(tokens)

    monkeypatch.setattr(session, "answer", record)
    judge([PAIRS[1]] * 5, batch_size=2)
    assert calls == [2, 2, 1]


def test_a_progress_bar_counts_the_rows(judge: Classifier, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm", reason="tqdm is not installed: pip install tqdm")
    expected = judge(PAIRS, batch_size=2)
    assert judge(PAIRS, batch_size=2, progress=True) == expected
    assert "4/4" in capfd.readouterr().err
    assert judge(PAIRS[0], progress=True) == judge(PAIRS[0])
    assert "1/1" in capfd.readouterr().err
    with pytest.raises(InputError, match="progress is the int 1, expected True or False"):
        judge(PAIRS, progress=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("function", ["relu", "", 3, ["softmax"]])
def test_a_function_that_the_pipeline_lacks_is_refused(function: Any, judge: Classifier) -> None:
    with pytest.raises(
        InputError, match=r"function_to_apply is .*, expected 'sigmoid', 'softmax', 'none' or 'default'"
    ):
        judge(PAIRS, function_to_apply=function)
    with pytest.raises(InputError, match="batch_size is the int 0, expected an integer of at least 1, or None"):
        judge(PAIRS, batch_size=0)
