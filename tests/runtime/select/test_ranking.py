"""The heaps, compared with sorting all rows."""

import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import InputError
from assay.select import ranking
from assay.select.job import Job, check
from assay.select.ranking import Ranking, read_group, read_score

SCORES = st.sampled_from([0.0, -0.0, 0.5, 1.0, 1.5, -3.0])


@given(st.lists(st.tuples(SCORES, st.sampled_from("abc")), max_size=40), st.integers(1, 6))
def test_the_rows_are_those_at_the_head_of_each_group_when_it_is_sorted(
    rows: list[tuple[float, str]], top: int
) -> None:
    found = Ranking(top)
    for row, (score, group) in enumerate(rows):
        found.add(row, score, group, "here")
    expected: list[int] = []
    for group in "abc":
        mine = [row for row, (_, its) in enumerate(rows) if its == group]
        expected += sorted(mine, key=lambda row: -rows[row][0])[:top]  # sorting is stable: ties by input order
    assert found.choose() == sorted(expected)
    assert found.quotas == len({group for _, group in rows})


def test_more_groups_than_memory_is_meant_for_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "MAX_GROUPS", 2)
    found = Ranking(1)
    found.add(0, 1.0, "a", "line 1")
    found.add(1, 1.0, "b", "line 2")
    found.add(2, 2.0, "a", "line 3")
    with pytest.raises(InputError, match=r"line 4: is of more than 2 groups"):
        found.add(3, 1.0, "c", "line 4")


@pytest.mark.parametrize(("value", "expected"), [(1, 1.0), (0.25, 0.25), (Decimal("1.5"), 1.5)])
def test_a_score_is_a_number(value: object, expected: float) -> None:
    assert read_score(value, "here") == expected


@pytest.mark.parametrize("value", [None, "1", True, [1], math.nan, math.inf, 10**400])
def test_what_cannot_be_ranked_is_refused(value: object) -> None:
    with pytest.raises(InputError, match=r"here: found .* number to rank the row by"):
        read_score(value, "here")


def test_groups_are_equal_only_if_their_cells_are() -> None:
    assert read_group(True, "here") != read_group(1, "here")
    assert read_group("1", "here") != read_group(1, "here")
    assert read_group(None, "here") != read_group("", "here")
    for value in (math.nan, ["a"], {"a": 1}):
        with pytest.raises(InputError, match="to group the row by"):
            read_group(value, "here")


@given(st.floats(-10, 110))
def test_a_bin_has_its_lower_edge_and_the_last_one_its_upper_edge_too(score: float) -> None:
    plan = check(Job("a.jsonl", "-", 1, bins=[0, 25, 50, 100]))
    expected = None
    for number, (low, high) in enumerate([(0, 25), (25, 50), (50, 100)]):
        if low <= score < high or (score == high == 100):
            expected = number
    assert plan.find_bin(score) == expected
    assert check(Job("a.jsonl", "-", 1)).find_bin(score) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top": 0}, "top is 0, expected"),
        ({"top": True}, "top is True, expected"),
        ({"by": 3}, "by is the int 3"),
        ({"group": ["a"]}, "group is a list"),
        ({"bins": [1.0]}, "bins is"),
        ({"bins": [1, 1]}, "rising"),
        ({"bins": [0, math.nan]}, "rising"),
        ({"bins": "01"}, "expected the edges"),
        ({"on_error": "null"}, "on_error is 'null'"),
        ({"target": "b.csv"}, "jsonl cannot be written as csv"),
        ({"source": "a.txt"}, "ends in '.txt'"),
        ({"format": "csv", "target": "b.jsonl"}, "format is 'csv', but it is for '-' only"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_read(options: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"source": "a.jsonl", "target": "b.jsonl", "top": 1}
    with pytest.raises(InputError, match=message):
        check(Job(**given | options))
