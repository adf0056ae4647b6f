"""All instruction sets of the machine give the same bits, so that a model answers alike on every CPU.

test_neon.py and attention/test_neon_attention.py compare those of 64-bit ARM with plain C++ on this machine.
"""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels import test_float_linear as float_linear
from tests.kernels import test_linear as linear
from tests.kernels.attention import conftest as attention
from tests.kernels.attention.attention_reference import Case as AttentionCase
from tests.kernels.cases import Case, cases, in_float
from tests.kernels.conftest import instruction_sets
from tests.kernels.effort import per_instruction_set

SETS = [name for name in instruction_sets() if name is not None]
pytestmark = pytest.mark.skipif(not SETS, reason="the CPU kernels are not built")


def assert_all_agree(compute: Callable[[], np.ndarray]) -> None:
    answers = []
    for name in SETS:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ASSAY_KERNELS_ISA", name)
            answers.append(compute())
    for name, y in zip(SETS[1:], answers[1:], strict=True):
        np.testing.assert_array_equal(y, answers[0], err_msg=f"{name} differs from {SETS[0]}")


@per_instruction_set
@given(case=cases())
def test_an_int8_layer(case: Case) -> None:
    assert_all_agree(lambda: linear.run(case))


@per_instruction_set
@given(case=cases())
def test_a_float32_layer(case: Case) -> None:
    assert_all_agree(lambda: float_linear.run(in_float(case)))


@per_instruction_set
@given(st.integers(1, 900), st.booleans(), st.integers(0, 1000))
def test_a_layer_norm(width: int, biased: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    x, gain, bias = (random.standard_normal(shape).astype(np.float32) for shape in ((5, width), width, width))
    assert_all_agree(lambda: float_linear.layer_norm(3 + 100 * x, gain, bias if biased else None))


@per_instruction_set
@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=3),
    st.integers(1, 70),
    st.sampled_from(["int8", "float32"]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_disentangled_attention(
    lengths: list[int], d: int, arithmetic: str, first_token: bool, keys: bool, queries: bool
) -> None:
    case = AttentionCase(lengths, d=d, options={"arithmetic": arithmetic, "first_token": first_token})
    assert_all_agree(lambda: attention.run(case.attention(30, 60, keys=keys, queries=queries)))


@per_instruction_set
@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=3),
    st.integers(1, 35),
    st.sampled_from(["int8", "float32"]),
    st.sampled_from([-1, 0, 3, 64]),
)
def test_rotary_attention(lengths: list[int], pairs: int, arithmetic: str, half_window: int) -> None:
    frequencies = (1 / 10000.0 ** (np.arange(pairs) / pairs)).astype(np.float32)
    options = {"arithmetic": arithmetic, "frequencies": frequencies, "half_window": half_window}
    case = AttentionCase(lengths, d=2 * pairs, options=options)
    assert_all_agree(lambda: attention.run(case.attention()))
