"""DisentangledAttention against numpy: every combination of its terms, lengths across every block border."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.attention.attention_reference import Case
from tests.kernels.attention.conftest import assert_close, run
from tests.kernels.effort import per_instruction_set

pytestmark = pytest.mark.usefixtures("instruction_set")
ARITHMETICS = ["int8", "float32"]


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("length", [1, 2, 7, 16, 63, 64, 65, 130, 300, 512, 700])
def test_lengths(arithmetic: str, length: int) -> None:
    case = Case([length], d=64, options={"arithmetic": arithmetic}).attention(256, 512, keys=True, queries=True)
    assert_close(case, run(case))


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("d", [32, 64])
@pytest.mark.parametrize("length", [1, 2, 17, 64, 65, 300, 512, 700])
def test_lengths_without_position_terms(arithmetic: str, d: int, length: int) -> None:
    case = Case([length], d=d, options={"arithmetic": arithmetic}).attention()
    assert_close(case, run(case))


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("first_token", [False, True])
def test_a_row_without_position_terms_is_the_same_alone_and_packed(arithmetic: str, first_token: bool) -> None:
    lengths = [3, 530, 64, 1, 130]
    packed = Case(lengths, d=32, options={"arithmetic": arithmetic, "first_token": first_token}).attention()
    together = run(packed, threads=3)
    for row, (start, length) in enumerate(zip(packed.row_starts, lengths, strict=False)):
        tokens = slice(start, start + length)
        queries = slice(row, row + 1) if first_token else tokens
        alone = dataclasses.replace(
            packed, query=packed.query[queries], key=packed.key[tokens], value=packed.value[tokens], lengths=[length]
        )
        np.testing.assert_array_equal(run(alone), together[queries])


@per_instruction_set
@given(data=st.data())
def test_any_shape(data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.integers(1, 150), max_size=4))
    buckets = data.draw(st.sampled_from([None, 0, 2, 8, 30]))
    case = Case(
        lengths,
        heads=data.draw(st.integers(1, 3)),
        d=data.draw(st.integers(1, 70)),
        sharpness=data.draw(st.sampled_from([0.1, 1, 4])),
        seed=data.draw(st.integers(0, 1000)),
        options={"arithmetic": data.draw(st.sampled_from(ARITHMETICS)), "first_token": data.draw(st.booleans())},
    ).attention(
        buckets, data.draw(st.integers(32, 60)), keys=data.draw(st.booleans()), queries=data.draw(st.booleans())
    )
    assert_close(case, run(case))


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("first_token", [False, True])
def test_row_is_the_same_alone_and_packed_and_with_any_threads(arithmetic: str, first_token: bool) -> None:
    lengths = [3, 700, 64, 1, 130]
    options = {"arithmetic": arithmetic, "first_token": first_token}
    packed = Case(lengths, d=24, options=options).attention(64, 200, keys=True, queries=True)
    together = run(packed)
    for threads in (2, 5):
        np.testing.assert_array_equal(run(packed, threads=threads), together)
    starts = packed.row_starts
    for row, length in enumerate(lengths):
        tokens = slice(starts[row], starts[row] + length)
        queries = slice(row, row + 1) if first_token else tokens
        alone = dataclasses.replace(
            packed,
            query=packed.query[queries],
            key=packed.key[tokens],
            value=packed.value[tokens],
            lengths=[length],
        )
        np.testing.assert_array_equal(run(alone, threads=2), together[queries])


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_first_token_is_the_first_row_of_all(arithmetic: str) -> None:
    every = Case([5, 90], d=20, options={"arithmetic": arithmetic}).attention(8, 40, keys=True, queries=True)
    first = dataclasses.replace(every, query=every.query[[0, 5]], first_token=True)
    np.testing.assert_array_equal(run(first), run(every)[[0, 5]])


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("part", ["query", "key", "value"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_spoils_its_own_row_only(arithmetic: str, part: str, bad: float) -> None:
    case = Case([4, 70, 6], options={"arithmetic": arithmetic}).attention(8, 40, keys=True, queries=True)
    clean = run(case)
    array = getattr(case, part).copy()
    array[40, 1, 3] = bad
    y = run(dataclasses.replace(case, **{part: array})).reshape(len(clean), 2, -1)
    spoilt = [40] if part == "query" else slice(4, 74)
    assert np.isnan(y[spoilt, 1]).all()
    others = np.ones(y.shape, bool)
    others[spoilt, 1] = False
    np.testing.assert_array_equal(y[others], clean.reshape(y.shape)[others])


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_zeros_and_the_largest_values(arithmetic: str) -> None:
    case = Case([20], options={"arithmetic": arithmetic}).attention(8, 40, keys=True, queries=True)
    case.value[3] = 0
    case.key[5] = 0
    assert_close(case, run(case))
    case.query[:] = 0
    assert case.positions is not None
    assert case.positions.queries is not None
    case.positions.queries[:] = 0
    assert_close(case, run(case))  # equal probabilities
    case.value[:] = 0
    assert not run(case).any()
    case.value[:] = 1e36
    np.testing.assert_allclose(run(case), case.value.reshape(20, -1), rtol=1e-3)


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_hugely_negative_scores_still_rank_the_keys(arithmetic: str) -> None:
    case = Case([5], heads=1, d=2, options={"arithmetic": arithmetic}).attention()
    case.query[:] = 1e16
    case.key[:] = -1e16 * np.arange(5, 0, -1)[:, None, None]  # scores of -1e33 to -2e32
    np.testing.assert_allclose(run(case), np.repeat(case.value[-1:, 0], 5, axis=0), rtol=1e-2)


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_one_token_of_one_channel(arithmetic: str) -> None:
    case = Case([1], heads=1, d=1, options={"arithmetic": arithmetic}).attention(2, 40, keys=True, queries=True)
    np.testing.assert_allclose(run(case), case.value[0], rtol=1e-3)


def test_long_tail_beside_one_likely_key() -> None:
    """Half the output comes from keys of which each is a thousandth as likely as the first."""
    length = 512
    case = Case([length], heads=1, d=16, options={"arithmetic": "int8"}).attention()
    case.query[:], case.key[:] = 0, 0
    case.query[..., 0], case.key[0, 0, 0] = 1, np.log(length - 1)
    case.value[:] = 1
    case.value[0] = -1
    assert_close(case, run(case))


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize(
    ("row_starts", "message"),
    [
        ([1, 4, 10], "begins with 1"),
        ([0, 4, 9], "ends with 9"),
        ([0, 4, 11], "has 11"),
        ([0, 2**62, 10], "row_starts has"),
        ([0, 7, 3, 10], "row_starts has 3 after 7"),
        ([0, 4, 4, 10], "row_starts has 4 after 4"),
        ([0, -4, 10], "row_starts has -4"),
        ([0], "ends with 0"),
        ([], "row_starts is empty"),
    ],
)
def test_bad_row_starts(arithmetic: str, row_starts: list[int], message: str) -> None:
    case = Case([10], options={"arithmetic": arithmetic}).attention()
    with pytest.raises(Exception, match=message):
        run(case, {"row_starts": np.array(row_starts, np.int64)})


BAD_TABLES: list[tuple[str, Callable[[np.ndarray], np.ndarray], str]] = [
    ("bucket_rows", lambda rows: rows[:-1], "bucket_rows has shape"),
    ("bucket_rows", lambda rows: rows[:0], "bucket_rows has shape"),
    ("bucket_rows", lambda rows: rows - 1, "bucket_rows begins with -1"),
    ("bucket_rows", lambda rows: rows * 2, "bucket_rows has 2 after 0"),
    ("bucket_rows", lambda rows: rows[::-1].copy(), "bucket_rows has"),
    ("bucket_rows", lambda rows: rows + 2**20, "position_keys has shape"),
    ("position_keys", lambda table: table[:1], "position_keys has shape"),
    ("position_keys", lambda table: table[:, :0], "position_keys has shape"),
    ("position_queries", lambda table: table[:, :, :1], "position_queries has shape"),
    ("position_queries", lambda table: table.astype(np.int32), "position_queries has the wrong element type"),
]


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize(("name", "change", "message"), BAD_TABLES)
def test_bad_tables(arithmetic: str, name: str, change: Callable[[np.ndarray], np.ndarray], message: str) -> None:
    case = Case([10], options={"arithmetic": arithmetic}).attention(8, 40, keys=True, queries=True)
    with pytest.raises(Exception, match=message):
        run(case, {name: np.ascontiguousarray(change(case.initializers[name]))})


@pytest.mark.parametrize("name", ["bucket_rows", "position_keys_scale", "position_queries_sum"])
def test_missing_tables(name: str) -> None:
    case = Case([10], options={"arithmetic": "int8"}).attention(8, 40, keys=True, queries=True)
    with pytest.raises(Exception, match=r"missing|without|has shape"):
        run(case, {name: None})


BAD_SHAPES: list[tuple[bool, dict[str, np.ndarray | None], str]] = [
    (False, {"query": np.zeros((10, 35), np.float32)}, "query has 35 columns"),
    (False, {"query": np.zeros((10, 33), np.float32)}, "query has 33 columns"),
    (False, {"query": np.zeros((10, 0), np.float32)}, "query has 0 columns"),
    (False, {"query": np.zeros((10, 6, 6), np.float32)}, "query has shape"),
    (False, {"kv": np.zeros((10, 24), np.float32)}, "kv without first_token"),
    (True, {"kv": None}, "kv is missing"),
    (True, {"kv": np.zeros((10, 22), np.float32)}, "kv has shape"),
    (True, {"query": np.zeros((2, 12), np.float32)}, r"query has shape \[2, 12\] for 1 rows"),
]


@pytest.mark.parametrize(("first_token", "changes", "message"), BAD_SHAPES)
def test_bad_shapes(first_token: bool, changes: dict[str, np.ndarray], message: str) -> None:
    case = Case([10], heads=2, d=6, options={"first_token": first_token}).attention()
    with pytest.raises(Exception, match=message):
        run(case, changes)


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("first_token", [False, True])
def test_nothing_in_nothing_out(arithmetic: str, first_token: bool) -> None:
    options = {"arithmetic": arithmetic, "first_token": first_token}
    assert run(Case([], options=options).attention(8, 40, keys=True, queries=True)).shape == (0, 32)
