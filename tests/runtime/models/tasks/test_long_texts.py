"""Long texts in windows. The tiny bundles read 16 tokens: 14 of a text, 13 of a pair."""

import itertools
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from assay import Classifier, InputError, NumericalError, Scorer
from assay.models.base import runner_of

WORDS = ["a", "b", "c", "d", "e", "f", "g", "rain", "water", "is"]
LONG = " ".join(itertools.islice(itertools.cycle(WORDS), 40))


def spell(model: Any, row: Any) -> list[list[str]]:
    """The tokens of each window of a row."""
    (windows,) = runner_of(model).tokenizer.encode_windows([row], None)
    return [runner_of(model).tokenizer.spell(window) for window in windows]


def test_special_tokens_frame_every_window_and_all_of_the_text_is_in_one(scorer: Scorer) -> None:
    windows = spell(scorer, LONG)
    assert [(window[0], window[-1], len(window)) for window in windows] == [("[CLS]", "[SEP]", 16)] * 4
    words = LONG.split()
    starts = [0, 11, 22, 26]  # 14 words each, of which neighbours share 3; the last one ends with the text
    assert [window[1:-1] for window in windows] == [words[start : start + 14] for start in starts]
    assert spell(scorer, "a b") == [["[CLS]", "a", "b", "[SEP]"]]
    assert len(spell(scorer, " ".join(["a"] * 14))) == 1
    assert scorer.count_windows([LONG, "a", ""]).tolist() == [4, 1, 1]


def test_a_pair_has_its_first_text_in_every_window_of_the_second(judge: Classifier) -> None:
    windows = spell(judge, ("rain is", LONG))
    assert [window[:4] for window in windows] == [["[CLS]", "rain", "is", "[SEP]"]] * len(windows)
    assert {(len(window), window[-1]) for window in windows} == {(16, "[SEP]")}
    assert windows[0][4:-1] == LONG.split()[:11]
    assert windows[-1][4:-1] == LONG.split()[-11:]
    ((tokens, *_),) = runner_of(judge).tokenizer.encode_windows([("rain is", LONG)], None)
    assert tokens.type_ids.tolist() == [0] * 4 + [1] * 12
    assert len(spell(judge, (LONG, ""))) == 4  # a pair without a second text is its first alone
    with pytest.raises(
        InputError, match=r"row 1: the first text of the pair has 8 tokens, expected at most 7"
    ) as caught:
        judge.predict_batch([("a", LONG), ("a b c d e f g a", LONG)], long="windows")
    assert caught.value.row == 1


@pytest.mark.parametrize("aggregate", ["max", "mean", "first"])
def test_scores_are_aggregated_over_the_windows(aggregate: Any, scorer: Scorer, judge: Classifier) -> None:
    functions: dict[str, Any] = {"max": np.max, "mean": np.mean, "first": lambda scores, axis: scores[0]}  # noqa: ARG005
    function = functions[aggregate]
    starts = [0, 11, 22, 26]
    parts = [" ".join(LONG.split()[start : start + 14]) for start in starts]
    expected = float(function(scorer.score_batch(parts), axis=0))
    assert scorer.score(LONG, long="windows", aggregate=aggregate) == pytest.approx(expected, abs=1e-6)
    batch = scorer.score_batch(["a", LONG, "b c"], long="windows", aggregate=aggregate)
    assert batch.tolist() == pytest.approx([scorer.score("a"), expected, scorer.score("b c")], abs=1e-6)
    assert batch.dtype == np.float32

    pairs = [("rain", " ".join(LONG.split()[start : start + 12])) for start in [0, 9, 18, 27, 28]]
    prediction = judge.predict("rain", LONG, long="windows", aggregate=aggregate)
    scores = function(judge.predict_proba(pairs), axis=0)
    assert list(prediction.scores.values()) == pytest.approx(scores.tolist(), abs=1e-6)
    assert prediction.windows == 5
    assert prediction.label == judge.labels[int(scores.argmax())]
    assert [item.windows for item in judge.predict_batch([("a", "b"), ("rain", LONG)], long="windows")] == [1, 5]


def test_a_score_is_rescaled_after_it_was_aggregated(scorer: Scorer) -> None:
    raw = scorer.score(LONG, long="windows", aggregate="mean")
    assert scorer.score(LONG, long="windows", aggregate="mean", scale=(0, 10)) == min(10, max(0, np.float32(raw) * 10))


def test_the_other_ways_are_those_of_the_bundle_or_an_error(judge: Classifier, scorer: Scorer) -> None:
    assert judge.predict("a", LONG, long="truncate") == judge.predict("a", LONG)
    assert scorer.score(LONG, long="truncate") == scorer.score(LONG, truncate=True)
    assert scorer.score("a", long="error") == scorer.score("a")
    with pytest.raises(InputError, match="the text is longer than the 16 tokens that the model reads: shorten it, or"):
        judge.predict("a", LONG, long="error")
    with pytest.raises(InputError, match="row 1 is longer than the 16 tokens") as caught:
        scorer.score_batch(["a", LONG], long="error")
    assert caught.value.row == 1
    assert judge.predict("a", LONG).windows == 1


def test_no_rows_and_errors_of_rows(judge: Classifier, scorer: Scorer) -> None:
    assert scorer.score_batch([], long="windows").shape == (0,)
    assert judge.predict_batch([], long="windows") == []
    aggregate: Any
    for aggregate in ("max", "mean", "first"):
        with pytest.raises(NumericalError, match="row 2 has the logits") as caught:
            scorer.score_batch([LONG, "a", "nan " + LONG], long="windows", aggregate=aggregate)
        assert caught.value.row == 2
    with pytest.raises(NumericalError, match="the text has the logits"):
        scorer.score(LONG + " nan", long="windows")


def test_wrong_arguments_are_refused(judge: Classifier, scorer: Scorer) -> None:
    wrong: Any
    for wrong in ("window", "", 3, True, ["error"]):
        with pytest.raises(InputError, match=r"long is .*, expected 'error', 'truncate' or 'windows', or None"):
            judge.predict("a", "b", long=wrong)
    for wrong in ("median", None, 3):
        with pytest.raises(InputError, match=r"aggregate is .*, expected 'max', 'mean' or 'first'"):
            scorer.score("a", long="windows", aggregate=wrong)
    with pytest.raises(InputError, match="found truncate=True and long='windows', expected one of them"):
        scorer.score("a", long="windows", truncate=True)
    with pytest.raises(InputError, match="progress is the int 1, expected True or False"):
        scorer.score_batch(["a"], long="windows", progress=1)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="batch_tokens is the int 0, expected an integer of at least 1, or None"):
        judge.predict_batch([("a", "b")], long="windows", batch_tokens=0)


def test_many_windows_run_in_parts(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = scorer.score_batch([LONG, "a", LONG, "b"], long="windows")
    monkeypatch.setattr("assay.models.tasks.long_texts._WINDOWS_PER_RUN", 3)
    assert np.allclose(scorer.score_batch([LONG, "a", LONG, "b"], long="windows"), expected, atol=1e-6)
    with pytest.raises(NumericalError, match="row 3 "):
        scorer.score_batch([LONG, "a", LONG, "nan"], long="windows")


@pytest.mark.parametrize("long", ["windows", "truncate"])
@pytest.mark.parametrize("aggregate", ["max", "mean", "first"])
def test_batch_tokens_limit_the_tokens_of_a_call_and_change_no_answer(
    aggregate: Any, long: Any, judge: Classifier, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts, pairs = [LONG, "a", "b c", LONG, "d"], [("rain", LONG), ("a", "b"), ("b", "a"), ("is", LONG)]
    options: Any = {"long": long, "aggregate": aggregate}
    expected = scorer.score_batch(texts, **options)
    predictions = judge.predict_batch(pairs, **options)
    session = runner_of(scorer).engine.get().session
    answer, calls = session.answer, []

    def record(tokens: Any) -> Any:
        calls.append([len(row.ids) for row in tokens])
        return answer(tokens)

    monkeypatch.setattr(session, "answer", record)
    assert np.allclose(scorer.score_batch(texts, **options, batch_tokens=32), expected, atol=1e-6)
    assert max(sum(call) for call in calls) == 32
    found = judge.predict_batch(pairs, **options, batch_tokens=16)
    assert [(one.label, one.windows) for one in found] == [(one.label, one.windows) for one in predictions]
    for one, other in zip(found, predictions, strict=True):
        assert list(one.scores.values()) == pytest.approx(list(other.scores.values()), abs=1e-6)


@pytest.mark.parametrize("aggregate", ["max", "first"])
@pytest.mark.parametrize("long", ["windows", "truncate"])
def test_a_progress_bar_counts_the_rows_and_not_their_windows(
    long: Any, aggregate: Any, judge: Classifier, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars: list[Any] = []

    class Bar:
        def __init__(self, *, total: int, **_: Any) -> None:
            self.total, self.steps = total, list[int]()
            self.update = self.steps.append
            bars.append(self)

        def __enter__(self) -> "Bar":
            return self

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setitem(sys.modules, "tqdm", SimpleNamespace(tqdm=Bar))
    monkeypatch.setattr("assay.models.tasks.long_texts._WINDOWS_PER_RUN", 6)
    texts, pairs = [LONG, "a", "b c", LONG, "d"], [("rain", LONG), ("a", "b")]
    options: Any = {"long": long, "aggregate": aggregate, "batch_tokens": 16}
    assert np.array_equal(scorer.score_batch(texts, **options, progress=True), scorer.score_batch(texts, **options))
    assert judge.predict_batch(pairs, **options, progress=True) == judge.predict_batch(pairs, **options)
    assert [(bar.total, sum(bar.steps)) for bar in bars] == [(5, 5), (2, 2)]
    assert all(step >= 0 for bar in bars for step in bar.steps)
