from typing import Any

import pytest

from assay import Classifier, InputError, NumericalError, Scorer
from assay.models.base import runner_of


def test_a_words_effect_is_what_the_score_loses_without_it(judge: Classifier, scorer: Scorer) -> None:
    explanation = scorer.explain("rain  forms\nwhen ")
    rest = ["forms\nwhen ", "rain  when ", "rain  forms "]
    assert [word.word for word in explanation.words] == ["rain", "forms", "when"]
    assert explanation.score == pytest.approx(scorer.score("rain  forms\nwhen "), abs=1e-6)
    assert [word.without for word in explanation.words] == pytest.approx(scorer.score_batch(rest).tolist(), abs=1e-6)
    assert [word.effect for word in explanation.words] == [
        explanation.score - word.without for word in explanation.words
    ]

    pair = judge.explain("a b", "c", label="NOADDR_ON")
    expected = judge.predict_proba([("a b", "c"), ("b", "c"), ("a", "c"), ("a b", "")])[:, 2].tolist()
    assert [(word.word, word.span.which) for word in pair.words] == [("a", 0), ("b", 0), ("c", 1)]
    assert [pair.score, *(word.without for word in pair.words)] == pytest.approx(expected, abs=1e-6)
    assert pair.label == "NOADDR_ON"
    assert judge.explain("a b", "c").label == judge.predict("a b", "c").label


def test_it_costs_a_row_per_word_and_one_more_in_one_batch(judge: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = runner_of(judge)
    batches: list[int] = []
    run = runner.run

    def record(rows: Any, *arguments: Any, **options: Any) -> Any:
        batches.append(len(rows))
        return run(rows, *arguments, **options)

    monkeypatch.setattr(runner, "run", record)
    judge.explain("a b c", "d e")
    assert batches == [6]
    assert judge.explain("", "").words == ()
    assert batches == [6, 1]


def test_the_html_escapes_the_text(judge: Classifier) -> None:
    page = judge.explain('<script>alert("x")</script> & rain', "<b>'bold'</b>").to_html()
    assert "<script" not in page
    assert "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;" in page
    assert "&lt;b&gt;&#x27;bold&#x27;&lt;/b&gt;" in page
    assert " &amp;" not in page.replace(">&amp;<", "")
    assert page.count("<span ") == 4
    assert judge.explain("", "").to_html().startswith("<div><b>")


def test_what_cannot_be_explained_is_refused(judge: Classifier, scorer: Scorer) -> None:
    with pytest.raises(InputError, match="explain: label is 'OTHER', expected one of ADDR_DIRECT"):
        judge.explain("a", "b", label="OTHER")
    with pytest.raises(InputError, match="the text has more than 1,000 words"):
        scorer.explain("a " * 1001, truncate=True)
    with pytest.raises(InputError, match="text: found None"):
        scorer.explain(None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="has 42 tokens"):
        scorer.explain("a " * 40)
    with pytest.raises(NumericalError, match="row 0 has the logits"):
        scorer.explain("nan a")


def test_a_warm_up_runs_the_shortest_and_the_longest_row(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = runner_of(scorer)
    lengths: list[int] = []
    monkeypatch.setattr(runner, "answer", lambda tokens: lengths.extend(len(row.ids) for row in tokens))
    scorer.warmup()
    scorer.warmup(tokens=4)
    assert lengths == [1, 16, 1, 4]
    monkeypatch.undo()
    scorer.warmup()
    wrong: Any
    for wrong, found in ((0, "the int 0"), (17, "17"), (True, "True"), ("all", "a str")):
        with pytest.raises(InputError, match=f"tokens is {found}.*, expected"):
            scorer.warmup(wrong)
