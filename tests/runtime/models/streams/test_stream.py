import itertools
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from assay import Classifier, InputError, InstallationError, NumericalError, Scorer
from assay.models.base import runner_of

PAIRS = [("a " * (number % 7), "b " * (number % 5)) for number in range(10)]


def test_answers_come_in_the_order_of_the_rows(judge: Classifier, scorer: Scorer) -> None:
    for size in (1, 3, 10, 256):
        streamed = list(judge.stream(iter(PAIRS), batch_size=size))
        for one, other in zip(streamed, judge.predict_batch(PAIRS), strict=True):
            assert one.label == other.label
            assert one.scores == pytest.approx(other.scores, abs=1e-6)
    scores = list(scorer.stream(["a", "b c"], scale=(0, 10)))
    assert scores == pytest.approx(scorer.score_batch(["a", "b c"], scale=(0, 10)).tolist(), abs=1e-6)
    assert list(scorer.stream([])) == []


def test_an_endless_iterable_is_read_no_further_than_the_answers_need(scorer: Scorer) -> None:
    read = 0

    def texts() -> Iterator[str]:
        nonlocal read
        while True:
            read += 1
            yield "a b"

    answers = scorer.stream(texts(), batch_size=4)
    assert read == 0
    assert len(list(itertools.islice(answers, 4))) == 4
    assert read == 4
    next(answers)
    assert read == 8


@pytest.mark.parametrize(
    ("row", "kind", "message"),
    [
        (None, InputError, "row 5: found None"),
        ("a " * 40, InputError, "row 5: the text has 42 tokens"),
        ("nan", NumericalError, "row 5 has the logits"),
    ],
)
def test_a_row_without_an_answer_raises_after_the_answers_to_the_rows_before_it(
    row: Any, kind: Any, message: str, scorer: Scorer
) -> None:
    for size in (1, 3, 5, 6, 100):
        answers = scorer.stream(["a"] * 5 + [row, "b", None], batch_size=size)
        assert len(list(itertools.islice(answers, 5))) == 5
        with pytest.raises(kind, match=message) as caught:
            next(answers)
        assert caught.value.row == 5
        assert list(answers) == []


def test_wrong_arguments_are_refused_before_anything_is_read(judge: Classifier, scorer: Scorer) -> None:
    size: Any
    for size in (0, -1, None, True, 2.0, "all"):
        with pytest.raises(InputError, match=r"batch_size is .*, expected an integer of at least 1"):
            scorer.stream([], batch_size=size)
    for rows in ("a", None, {"a": 1}, 3):
        with pytest.raises(InputError, match="the batch is"):
            scorer.stream(rows)
    with pytest.raises(InputError, match="threshold is"):
        judge.stream([], threshold=0.5)
    with pytest.raises(InputError, match="truncate is"):
        judge.stream([], truncate="no")  # type: ignore[arg-type]


def test_a_progress_bar_counts_the_rows(judge: Classifier, scorer: Scorer, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm", reason="tqdm is not installed: pip install tqdm")
    assert judge.predict_batch(PAIRS, progress=True) == judge.predict_batch(PAIRS)
    assert "10/10" in capfd.readouterr().err
    assert np.array_equal(scorer.score_batch(["a"], progress=True), scorer.score_batch(["a"]))
    assert np.array_equal(judge.predict_proba(PAIRS, progress=True), judge.predict_proba(PAIRS))
    with pytest.raises(InputError, match="progress is the int 1, expected True or False"):
        judge.logits(PAIRS, progress=1)  # type: ignore[arg-type]


def test_a_progress_bar_without_tqdm_is_one_line(judge: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(
        InstallationError, match=r"progress=True needs tqdm, which is not installed .* pip install tqdm"
    ):
        judge.logits(PAIRS, progress=True)


def test_batch_tokens_limit_the_tokens_of_a_call(judge: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = judge.logits(PAIRS * 3)
    session = runner_of(judge).engine.get().session
    calls: list[list[int]] = []
    answer = session.answer

    def record(tokens: Any) -> Any:
        calls.append([len(row.ids) for row in tokens])
        return answer(tokens)

    monkeypatch.setattr(session, "answer", record)
    assert np.allclose(judge.logits(PAIRS * 3, batch_tokens=20), expected, atol=1e-6)
    assert all(sum(call) <= 20 or len(call) == 1 for call in calls)
    assert any(len(call) > 1 for call in calls)
    wrong: Any
    for wrong in (0, -1, True, 2.0, "many"):
        with pytest.raises(InputError, match=r"batch_tokens is .*, expected an integer of at least 1, or None"):
            judge.predict_batch(PAIRS, batch_tokens=wrong)
