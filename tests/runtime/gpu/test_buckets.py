import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.gpu.buckets import choose_bucket, limit_rows, list_buckets, pad_rows
from assay.inputs.tokenization import Tokens
from assay.ort.batching import TOKENS_PER_CALL, group

MAX_LENGTHS = st.integers(1, 9_000)


def tokens(*ids: int) -> Tokens:
    array = np.array(ids, np.int64)
    return Tokens(array, np.ones_like(array))


@pytest.mark.parametrize(
    ("length", "bucket"),
    [
        (1, 32),
        (32, 32),
        (33, 64),
        (65, 128),
        (129, 256),
        (257, 384),
        (385, 512),
        (513, 1024),
        (1025, 1536),
        (8192, 8192),
    ],
)
def test_a_row_is_padded_to_the_next_bucket(length: int, bucket: int) -> None:
    assert choose_bucket(length, 8_192) == bucket


def test_no_bucket_is_longer_than_the_model_reads() -> None:
    assert list_buckets(512) == [32, 64, 128, 256, 384, 512]
    assert list_buckets(300) == [32, 64, 128, 256, 300]
    assert list_buckets(16) == [16]
    assert list_buckets(1_100) == [32, 64, 128, 256, 384, 512, 1_024, 1_100]


@given(max_length=MAX_LENGTHS, data=st.data())
def test_every_row_fits_into_a_bucket_of_the_list(max_length: int, data: st.DataObject) -> None:
    length = data.draw(st.integers(1, max_length))
    bucket = choose_bucket(length, max_length)
    assert length <= bucket <= max_length
    assert bucket in list_buckets(max_length)


@given(lengths=st.lists(st.integers(1, 700), max_size=300))
def test_a_group_of_padded_rows_has_at_most_the_rows_of_its_engine(lengths: list[int]) -> None:
    padded = [choose_bucket(length, 700) for length in lengths]
    for indices in group(padded, TOKENS_PER_CALL):
        assert len(indices) <= limit_rows(padded[indices[0]])


def test_rows_are_padded_on_the_right_with_a_mask() -> None:
    values = pad_rows([tokens(5, 6, 7), tokens(8)], (2, 4), 9)
    assert values["input_ids"].tolist() == [[5, 6, 7, 9], [8, 9, 9, 9]]
    assert values["attention_mask"].tolist() == [[1, 1, 1, 0], [1, 0, 0, 0]]
    assert values["token_type_ids"].tolist() == [[1, 1, 1, 0], [1, 0, 0, 0]]
    assert {array.dtype for array in values.values()} == {np.dtype(np.int64)}


def test_additional_rows_of_a_call_repeat_the_first() -> None:
    values = pad_rows([tokens(5, 6), tokens(7)], (4, 3), 0)
    assert values["input_ids"].tolist() == [[5, 6, 0], [7, 0, 0], [5, 6, 0], [5, 6, 0]]
    assert values["attention_mask"].any(axis=1).all()
