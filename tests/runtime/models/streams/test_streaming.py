import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import assay
from assay import Classifier, InputError, NumericalError
from assay.errors import AssayError
from assay.inputs.validation import Row
from assay.models.base import runner_of
from assay.models.streams.streaming import answer_windows
from tests.runtime import tiny

PAIRS = [("a " * (number % 7), "b " * (number % 5)) for number in range(10)]


def test_windows_are_answered_in_order_as_the_batch_is(judge: Classifier) -> None:
    answered = list(answer_windows(judge, [PAIRS[:4], PAIRS[4:5], PAIRS[5:]]))
    assert [len(window.logits) for window in answered] == [4, 1, 5]
    assert [window.errors for window in answered] == [{}, {}, {}]
    assert np.allclose(np.concatenate([window.logits for window in answered]), judge.logits(PAIRS), atol=1e-6)
    tokens = [len(row.ids) for row in runner_of(judge).tokenizer.encode(PAIRS, False, None)]
    assert [window.tokens for window in answered] == [sum(tokens[:4]), tokens[4], sum(tokens[5:])]


def test_a_window_may_be_empty(judge: Classifier) -> None:
    (answered,) = answer_windows(judge, [[]])
    assert answered.logits.shape == (0, 3)
    assert (answered.tokens, answered.errors) == (0, {})
    assert list(answer_windows(judge, [])) == []


def test_non_finite_logits_are_an_error_of_their_row_only(judge: Classifier) -> None:
    (answered,) = answer_windows(judge, [[("a", "b"), ("nan", "a"), ("c", "d")]])
    assert list(answered.errors) == [1]
    assert isinstance(answered.errors[1], NumericalError)
    assert "the text has the logits" in str(answered.errors[1])
    assert (answered.rows, len(answered)) == ([0, 2], 3)
    assert np.allclose(answered.logits, judge.logits([("a", "b"), ("c", "d")]), atol=1e-6)


def test_a_text_that_is_too_long_is_an_error_of_its_row_only_unless_it_may_be_truncated(tmp_path: Path) -> None:
    scorer = assay.load(tiny.write(tmp_path / "texts", input="text", truncation="refuse"), threads=1)
    long = "a " * 100
    (answered,) = answer_windows(scorer, [["a", long, "b"]])
    assert list(answered.errors) == [1]
    assert isinstance(answered.errors[1], InputError)
    assert answered.tokens == sum(len(row.ids) for row in runner_of(scorer).tokenizer.encode(["a", "b"], False, None))
    (cut,) = answer_windows(scorer, [["a", long, "b"]], truncate=True)
    assert cut.errors == {}
    assert np.isfinite(cut.logits).all()


def test_an_error_in_the_place_of_a_row_stays_there_and_costs_no_other_row_its_answer(judge: Classifier) -> None:
    bad = InputError("line 2: found None")
    window: list[Row | AssayError] = [("a", "b"), bad, ("nan", "a"), ("c", "d"), bad]
    (answered,) = answer_windows(judge, [window])
    assert (answered.rows, sorted(answered.errors)) == ([0, 3], [1, 2, 4])
    assert answered.errors[1] is bad
    assert np.allclose(answered.logits, judge.logits([("a", "b"), ("c", "d")]), atol=1e-6)
    (nothing,) = answer_windows(judge, [[bad]])
    assert (nothing.rows, nothing.logits.shape, nothing.errors, nothing.tokens) == ([], (0, 3), {0: bad}, 0)


def test_the_next_window_is_read_while_one_is_in_use(judge: Classifier) -> None:
    read = threading.Event()

    def windows() -> Iterator[list[tuple[str, str]]]:
        yield PAIRS[:2]
        read.set()
        yield PAIRS[2:]

    answers = answer_windows(judge, windows())
    next(answers)
    assert read.wait(timeout=30)
    assert len(next(answers).logits) == 8


def test_what_reading_raises_comes_after_the_windows_before_it(judge: Classifier) -> None:
    def windows() -> Iterator[list[tuple[str, str]]]:
        yield PAIRS[:2]
        raise InputError("line 3: no JSON")

    answers = answer_windows(judge, windows())
    assert len(next(answers).logits) == 2
    with pytest.raises(InputError, match="line 3"):
        next(answers)
