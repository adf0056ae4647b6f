"""assay.ort.batching.pack: which rows of any lengths share a call."""

from hypothesis import given
from hypothesis import strategies as st

from assay.ort.batching import pack


@given(st.lists(st.integers(1, 600), max_size=200), st.integers(1, 1_024))
def test_every_row_is_in_one_call_and_calls_keep_to_the_budget(lengths: list[int], budget: int) -> None:
    calls = pack(lengths, budget)
    assert sorted(index for call in calls for index in call) == list(range(len(lengths)))
    for call in calls:
        assert len(call) == 1 or sum(lengths[index] for index in call) <= budget


@given(st.lists(st.integers(1, 100), min_size=1, max_size=200))
def test_all_calls_but_one_are_at_least_half_full(lengths: list[int]) -> None:
    calls = pack(lengths, 100)
    half_empty = [call for call in calls if sum(lengths[index] for index in call) < 50]
    assert len(half_empty) <= 1


def test_a_row_longer_than_the_budget_has_a_call_of_its_own() -> None:
    assert pack([5, 2_000, 7], 100) == [[1], [2, 0]]
