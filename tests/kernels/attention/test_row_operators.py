"""MeanRows and EmbeddingNorm."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.effort import per_instruction_set
from tests.kernels.graphs import LIBRARY, session_of

pytestmark = pytest.mark.skipif(not LIBRARY.is_file(), reason=f"{LIBRARY} is not built")


def mean_rows(x: np.ndarray, row_starts: list[int], threads: int = 1) -> np.ndarray:
    feed = {"x": x, "row_starts": np.array(row_starts, np.int64)}
    fed = {"x": np.float32, "row_starts": np.int64}
    return session_of("MeanRows", list(feed), {}, {}, fed=fed, threads=threads).run(None, feed)[0]


@per_instruction_set
@given(st.lists(st.integers(1, 40), max_size=5), st.integers(0, 300), st.integers(1, 3))
def test_mean(lengths: list[int], width: int, threads: int) -> None:
    x = np.random.default_rng(0).standard_normal((sum(lengths), width)).astype(np.float32)
    starts = [0, *np.cumsum(lengths)]
    y = mean_rows(x, starts, threads)
    assert y.shape == (len(lengths), width)
    for row, length in enumerate(lengths):
        np.testing.assert_allclose(
            y[row], x[starts[row] : starts[row] + length].mean(axis=0, dtype=np.float64), atol=1e-6
        )


def test_mean_of_what_is_not_finite() -> None:
    x = np.ones((5, 3), np.float32)
    x[1, 2] = np.nan
    x[3, 0] = np.inf
    np.testing.assert_array_equal(mean_rows(x, [0, 2, 3, 5]), [[1, 1, np.nan], [1, 1, 1], [np.inf, 1, 1]])


@pytest.mark.parametrize("row_starts", [[], [0], [0, 4], [0, 6], [1, 5], [0, 3, 2, 5], [0, 3, 3, 5], [0, -1, 5]])
def test_mean_of_bad_rows(row_starts: list[int]) -> None:
    with pytest.raises(Exception, match="row_starts"):
        mean_rows(np.ones((5, 3), np.float32), row_starts)


def embedding_norm(
    ids: np.ndarray, tensors: dict[str, np.ndarray], epsilon: float = 1e-7, threads: int = 1
) -> np.ndarray:
    inputs = ["ids", "table", "table_scale", "norm_gain", "norm_bias"]
    session = session_of("EmbeddingNorm", inputs, tensors, {"epsilon": epsilon}, fed={"ids": np.int64}, threads=threads)
    return session.run(None, {"ids": ids})[0]


def tensors_of(vocabulary: int, width: int, *, bias: bool, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    tensors: dict[str, np.ndarray] = {
        "table": random.integers(-127, 128, (vocabulary, width)).astype(np.int8),
        "table_scale": random.random(vocabulary).astype(np.float32),
        "norm_gain": random.standard_normal(width).astype(np.float32),
    }
    if bias:
        tensors["norm_bias"] = random.standard_normal(width).astype(np.float32)
    return tensors


@per_instruction_set
@given(st.integers(0, 70), st.integers(1, 20), st.integers(1, 900), st.booleans(), st.integers(1, 3))
def test_embedding(tokens: int, vocabulary: int, width: int, bias: bool, threads: int) -> None:
    tensors = tensors_of(vocabulary, width, bias=bias)
    ids = np.random.default_rng(1).integers(0, vocabulary, tokens)
    x = tensors["table"][ids] * tensors["table_scale"][ids].astype(np.float64)[:, None]
    centred = x - x.mean(axis=1, keepdims=True)
    expected = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5) * tensors["norm_gain"]
    expected += tensors.get("norm_bias", 0)
    y = embedding_norm(ids, tensors, 1e-5, threads)
    np.testing.assert_allclose(y, expected, atol=1e-5)


@pytest.mark.parametrize("bad", [-1, 10, 2**62, -(2**63)])
def test_id_outside_the_vocabulary(bad: int) -> None:
    with pytest.raises(Exception, match=f"token id {bad} in a vocabulary of 10"):
        embedding_norm(np.array([1, bad, 2]), tensors_of(10, 8, bias=True))


def test_not_a_number_in_a_scale_comes_out() -> None:
    tensors = tensors_of(3, 8, bias=False)
    tensors["table_scale"][1] = np.nan
    assert np.isnan(embedding_norm(np.array([0, 1, 2]), tensors)).any(axis=1).tolist() == [False, True, False]


def test_a_table_too_wide_for_exact_sums_is_an_error() -> None:
    """The squares of 131,072 values of -128 add up to 2^31."""
    with pytest.raises(Exception, match=r"table has shape \[1, 131072\]"):
        embedding_norm(np.array([0]), tensors_of(1, 131072, bias=False))
    tensors = tensors_of(1, 131071, bias=False)
    tensors["table"][:] = -128
    np.testing.assert_array_equal(embedding_norm(np.array([0]), tensors), np.zeros((1, 131071)))


@pytest.mark.parametrize("name", ["table_scale", "norm_gain", "norm_bias"])
def test_bad_embedding_shapes(name: str) -> None:
    tensors = tensors_of(10, 8, bias=True)
    tensors[name] = tensors[name][:-1]
    with pytest.raises(Exception, match=f"{name} has shape"):
        embedding_norm(np.array([1]), tensors)
