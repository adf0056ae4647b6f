"""The search finds the fewest layers to leave in float32, and checks few graphs on the way."""

import math
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from assay_export.variants.fp16.search import find_fewest

NAMES = [f"layer{index}" for index in range(200)]


class Gate:
    """Passes from `needed` layers in float32 on, and records the number of layers of each check."""

    def __init__(self, needed: float) -> None:
        self.needed = needed
        self.checked: list[int] = []

    def __call__(self, groups: Sequence[str]) -> bool:
        assert list(groups) == NAMES[: len(groups)]
        self.checked.append(len(groups))
        return len(groups) >= self.needed


@given(count=st.integers(1, 200), data=st.data())
def test_the_result_is_the_shortest_beginning_that_passes(count: int, data: st.DataObject) -> None:
    needed = data.draw(st.integers(1, count))
    gate = Gate(needed)
    assert find_fewest(NAMES[:count], gate) == NAMES[:needed]
    assert len(gate.checked) <= 2 * math.log2(needed) + 2
    assert len(set(gate.checked)) == len(gate.checked)


@given(count=st.integers(0, 200))
def test_there_is_no_result_if_all_layers_in_float32_do_not_pass(count: int) -> None:
    gate = Gate(math.inf)
    assert find_fewest(NAMES[:count], gate) is None
    assert count in (0, *gate.checked)


@given(answers=st.lists(st.booleans(), min_size=1, max_size=60))
def test_the_result_passes_and_fails_without_its_last_layer_even_if_the_gate_is_erratic(answers: list[bool]) -> None:
    def passes(groups: Sequence[str]) -> bool:
        return answers[len(groups) - 1]

    found = find_fewest(NAMES[: len(answers)], passes)
    if found is None:
        assert not answers[-1]
    else:
        assert passes(found)
        assert len(found) == 1 or not passes(found[:-1])
