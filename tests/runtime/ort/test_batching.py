from hypothesis import given
from hypothesis import strategies as st

from assay.ort.batching import group

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
