from collections import deque
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from assay import Classifier, InputError, Scorer
from assay.inputs.validation import MAX_CHARACTERS, check_batch, check_flag, check_single, check_text, describe

NO_TEXTS: list[Any] = [
    None,
    float("nan"),
    np.nan,
    1,
    1.5,
    True,
    b"bytes",
    bytearray(b"bytes"),
    [],
    {},
    {"text": "a"},
    object(),
    Decimal(1),
    10**5000,
    np.array("a"),
    "lone \ud800 surrogate",
    "\udcff",
    "a" * (MAX_CHARACTERS + 1),
]


@pytest.mark.parametrize("value", NO_TEXTS, ids=describe)
def test_anything_but_a_text_is_refused_with_its_row(value: Any) -> None:
    with pytest.raises(InputError, match=r"^row 2: ") as caught:
        check_batch(["a", "b", value, "c", None], "text")
    assert caught.value.row == 2
    assert len(str(caught.value)) < 300
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("value", NO_TEXTS, ids=describe)
@pytest.mark.parametrize("place", [0, 1])
def test_anything_but_a_text_is_refused_in_either_place_of_a_pair(value: Any, place: int) -> None:
    pair = ["a", "b"]
    pair[place] = value
    with pytest.raises(InputError, match=f"^row 1, {('text:', 'text_pair:')[place]}") as caught:
        check_batch([("a", "b"), pair], "pair")
    assert caught.value.row == 1


@pytest.mark.parametrize(
    "row", ["a", "ab", ("a",), ("a", "b", "c"), [], None, 3, {"text": "a", "text_pair": "b"}, b"ab"]
)
def test_anything_but_a_pair_is_refused(row: Any) -> None:
    with pytest.raises(InputError, match=r"^row 1: found .*expected") as caught:
        check_batch([("a", "b"), row], "pair")
    assert caught.value.row == 1


@pytest.mark.parametrize("row", [("a", "b"), ["a", "b"]])
def test_a_pair_in_the_place_of_a_text_is_refused(row: Any) -> None:
    with pytest.raises(InputError, match=r"row 0: found a .* expected one text"):
        check_batch([row], "text")
    with pytest.raises(InputError, match="this bundle reads no pairs"):
        check_single(row, None, "text")


@pytest.mark.parametrize(
    "batch",
    [
        "text",
        "",
        b"bytes",
        bytearray(),
        memoryview(b""),
        {"a": 1},
        {"a"},
        frozenset(),
        None,
        3,
        1.5,
        object(),
        check_text,
    ],
)
@pytest.mark.parametrize("kind", ["text", "pair"])
def test_anything_but_a_batch_is_refused(batch: Any, kind: Any) -> None:
    with pytest.raises(InputError, match="the batch is"):
        check_batch(batch, kind)


def test_a_bare_pair_in_the_place_of_a_batch_is_refused_with_a_hint() -> None:
    with pytest.raises(InputError, match="put it in a list"):
        check_batch(("objective", "response"), "pair")


@pytest.mark.parametrize("batch", [np.array([["a", "b"]]), np.array("a")])
def test_an_array_of_other_than_one_dimension_is_refused(batch: Any) -> None:
    with pytest.raises(InputError, match=f"{batch.ndim} dimensions"):
        check_batch(batch, "text")


def test_a_table_is_refused_because_iterating_it_yields_column_names() -> None:
    class DataFrame:
        ndim = 2

        def __iter__(self) -> Any:
            return iter(["text", "label"])

    with pytest.raises(InputError, match="2 dimensions"):
        check_batch(DataFrame(), "text")


@pytest.mark.parametrize(
    "batch",
    [["a", "b"], ("a", "b"), deque(["a", "b"]), iter(["a", "b"]), (word for word in "ab"), np.array(["a", "b"])],
)
def test_any_iterable_of_rows_is_a_batch(batch: Any) -> None:
    rows = check_batch(batch, "text")
    assert rows == ["a", "b"]
    assert {type(row) for row in rows} == {str}


@pytest.mark.parametrize("text", ["", "\0", "a\0b", "🙂", "ﬁ\u00a0…", "a" * MAX_CHARACTERS, "[CLS]"])
def test_unusual_texts_are_texts(text: str) -> None:
    assert check_text(text, "text") == text


def test_both_texts_of_a_pair_share_the_limit() -> None:
    half = "a" * (MAX_CHARACTERS // 2)
    assert check_single(half, half, "pair") == (half, half)
    with pytest.raises(InputError, match="1,000,001 characters together"):
        check_single(half, half + "a", "pair")


def test_a_lone_surrogate_is_named_and_placed() -> None:
    with pytest.raises(InputError, match=r"U\+D83D at character 2"):
        check_text("é \ud83d", "text")


def test_a_str_subclass_becomes_str_without_its_own_conversion() -> None:
    class Loud(str):
        def __str__(self) -> str:
            return "other"

    text = check_text(Loud("a"), "text")
    assert (type(text), text) == (str, "a")


def test_a_single_call_names_its_argument(judge: Classifier, scorer: Scorer) -> None:
    with pytest.raises(InputError, match=r"^text: found the float nan"):
        judge.predict(float("nan"), "b")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"^text_pair: found a bytes of 1.*decode"):
        judge.predict("a", b"b")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="text_pair is missing"):
        judge.predict("a")
    with pytest.raises(InputError, match="pass its two texts as two arguments"):
        judge.predict(("a", "b"))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="this bundle reads one text"):
        scorer.score("a", "b")
    with pytest.raises(InputError, match="text: found None"):
        scorer.score(None)  # type: ignore[arg-type]


def test_the_errors_reach_the_caller_of_every_method(judge: Classifier, scorer: Scorer) -> None:
    for call in (
        judge.logits,
        judge.predict_batch,
        judge,
        scorer.logits,
        scorer.score_batch,
        scorer.evol_complexity_batch,
    ):
        with pytest.raises(InputError, match="row 0"):
            call([None])


@pytest.mark.parametrize("flag", [None, 0, 1, "no", "", np.True_])
def test_a_flag_that_is_not_a_bool_is_refused(flag: Any) -> None:
    with pytest.raises(InputError, match=r"truncate is .*expected True or False"):
        check_flag(flag, "truncate")


def test_describing_a_value_never_calls_its_repr() -> None:
    class Hostile:
        def __repr__(self) -> str:
            raise RuntimeError

    assert describe(Hostile()) == "an object of type Hostile"
    assert describe(["a"] * 3) == "a list of 3"
