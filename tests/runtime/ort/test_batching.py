"""assay.ort.batching: which rows share a call, of equal length (`group`) or of any lengths (`pack`)."""

from hypothesis import given
from hypothesis import strategies as st

from assay.ort.batching import Limits, group, pack, split

LENGTHS = st.lists(st.integers(1, 20), max_size=60)


@given(lengths=LENGTHS, budget=st.integers(1, 64))
def test_every_row_is_in_one_group_of_its_length_within_the_budget(lengths: list[int], budget: int) -> None:
    groups = group(lengths, budget)
    assert sorted(index for indices in groups for index in indices) == list(range(len(lengths)))
    for indices in groups:
        assert len({lengths[index] for index in indices}) == 1
        assert len(indices) == 1 or len(indices) * lengths[indices[0]] <= budget


@given(lengths=LENGTHS)
def test_groups_are_as_few_as_the_budget_allows_and_longest_first(lengths: list[int]) -> None:
    groups = group(lengths, 40)
    assert len(groups) == sum(-(-lengths.count(length) // (40 // length)) for length in set(lengths))
    assert [lengths[indices[0]] for indices in groups] == sorted((lengths[i[0]] for i in groups), reverse=True)


@given(st.lists(st.integers(1, 600), max_size=200), st.integers(1, 1_024))
def test_every_packed_row_is_in_one_call_and_calls_keep_to_the_budget(lengths: list[int], budget: int) -> None:
    calls = pack(lengths, budget)
    assert sorted(index for call in calls for index in call) == list(range(len(lengths)))
    for call in calls:
        assert len(call) == 1 or sum(lengths[index] for index in call) <= budget


@given(st.lists(st.integers(1, 100), min_size=1, max_size=200))
def test_all_packed_calls_except_one_are_at_least_half_full(lengths: list[int]) -> None:
    calls = pack(lengths, 100)
    half_empty = [call for call in calls if sum(lengths[index] for index in call) < 50]
    assert len(half_empty) <= 1


def test_a_packed_row_longer_than_the_budget_is_a_call_by_itself() -> None:
    assert pack([5, 2_000, 7], 100) == [[1], [2, 0]]


def test_a_callers_limits_cut_the_calls_of_a_plan_and_never_join_them() -> None:
    lengths = [5, 5, 5, 3, 3, 9]
    calls = [[5], [0, 1, 2], [3, 4]]
    assert split(calls, lengths, Limits()) == calls
    assert split(calls, lengths, Limits(rows=2)) == [[5], [0, 1], [2], [3, 4]]
    assert split(calls, lengths, Limits(tokens=6)) == [[5], [0], [1], [2], [3, 4]]
    assert split(calls, lengths, Limits(rows=1, tokens=100)) == [[5], [0], [1], [2], [3], [4]]
    assert split(calls, lengths, Limits(rows=99, tokens=99)) == calls
    assert split([], [], Limits(rows=1)) == []
