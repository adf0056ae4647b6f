"""RotaryAttention against numpy: global and windowed, lengths across every block border."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.attention.attention_reference import Attention, Case, rotated
from tests.kernels.attention.conftest import assert_close, run
from tests.kernels.effort import SANITIZED, per_instruction_set

pytestmark = pytest.mark.usefixtures("instruction_set")
ARITHMETICS = ["int8", "float32"]


def rotary(lengths: list[int], d: int = 16, theta: float = 10000.0, **options: object) -> Attention:
    frequencies = (1 / theta ** (np.arange(0, d, 2) / d)).astype(np.float32)
    return Case(lengths, d=d, options={"frequencies": frequencies, **options}).attention()


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("half_window", [-1, 64])
@pytest.mark.parametrize("length", [1, 2, 7, 16, 63, 64, 65, 66, 130, 300, 512, 700])
def test_lengths(arithmetic: str, half_window: int, length: int) -> None:
    case = rotary([length], d=64, half_window=half_window, arithmetic=arithmetic)
    assert_close(case, run(case))


@per_instruction_set
@given(data=st.data())
def test_any_shape(data: st.DataObject) -> None:
    case = rotary(
        data.draw(st.lists(st.integers(1, 150), max_size=4)),
        d=2 * data.draw(st.integers(1, 35)),
        half_window=data.draw(st.sampled_from([-1, 0, 1, 3, 16, 31, 100])),
        arithmetic=data.draw(st.sampled_from(ARITHMETICS)),
        first_token=data.draw(st.booleans()),
    )
    assert_close(case, run(case))


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("half_window", [-1, 0, 30, 400])
def test_row_is_the_same_alone_and_packed_and_with_any_threads(arithmetic: str, half_window: int) -> None:
    lengths = [3, 1100, 64, 1, 130]
    packed = rotary(lengths, half_window=half_window, arithmetic=arithmetic)
    together = run(packed)
    np.testing.assert_array_equal(run(packed, threads=3), together)
    for row, length in enumerate(lengths):
        tokens = slice(packed.row_starts[row], packed.row_starts[row] + length)
        parts = {name: getattr(packed, name)[tokens] for name in ("query", "key", "value")}
        alone = dataclasses.replace(packed, **parts, lengths=[length])
        np.testing.assert_array_equal(run(alone, threads=2), together[tokens])
        first = dataclasses.replace(alone, query=alone.query[:1], first_token=True)
        np.testing.assert_array_equal(run(first), together[tokens][:1])


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("part", ["query", "key", "value"])
def test_what_is_not_finite_reaches_those_who_see_it(arithmetic: str, part: str) -> None:
    case = rotary([4, 300, 6], half_window=64, arithmetic=arithmetic)
    array = getattr(case, part).copy()
    array[104, 1, 3] = np.nan
    y = run(dataclasses.replace(case, **{part: array})).reshape(310, 2, -1)
    seeing = [104] if part == "query" else slice(40, 169)
    assert np.isnan(y[seeing, 1]).all()
    assert np.isfinite(y[:, 0]).all()
    assert np.isfinite(y[[0, 1, 2, 3, -1, -2, -3]]).all()


def test_a_long_row(instruction_set: str) -> None:
    length = 700 if SANITIZED else 1500 if instruction_set == "plain" else 8192
    for half_window in (-1, 64):
        attention = rotary([length], d=64, theta=160000.0, half_window=half_window)
        y = run(attention)
        turned = (rotated(x, attention.frequencies) for x in (attention.query, attention.key))
        queries, keys = (x[:, 0].astype(np.float64) for x in turned)
        # The reference would take 4 GB for all queries: look at some.
        seen = np.arange(length)
        for query in (0, 1, 511, length // 2, length - 1):
            scores = keys @ queries[query]
            if half_window >= 0:
                scores[np.abs(seen - query) > half_window] = -np.inf
            weights = np.exp(scores - scores.max())
            expected = weights / weights.sum() @ np.float64(attention.value[:, 0])
            np.testing.assert_allclose(y[query, :64], expected, atol=1e-4)


def test_odd_heads_and_wrong_frequencies() -> None:
    case = rotary([5])
    assert case.frequencies is not None
    with pytest.raises(Exception, match="frequencies has shape"):
        run(case, {"frequencies": case.frequencies[:-1]})
    with pytest.raises(Exception, match="heads of odd size 5"):
        run(case, {"query": np.zeros((5, 30), np.float32)})
    with pytest.raises(Exception, match="half_window is -2"):
        run(dataclasses.replace(case, half_window=-2))
