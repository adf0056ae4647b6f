import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import InputError
from assay.annotate.shards import Shard, parse_shard


@given(st.integers(1, 40), st.integers(0, 10**6))
def test_every_row_belongs_to_exactly_one_shard(count: int, row: int) -> None:
    assert sum(parse_shard(f"{index}/{count}").has(row) for index in range(1, count + 1)) == 1


def test_a_shard_is_written_as_it_is_read() -> None:
    assert parse_shard("3/8") == Shard(3, 8)
    assert str(Shard(3, 8)) == "3/8"


@pytest.mark.parametrize("word", ["", "1", "0/2", "3/2", "1/0", "-1/2", "1/2/3", "a/b", "1/2 ", "1.0/2", "٣/٨"])
def test_what_is_no_shard_is_refused(word: str) -> None:
    with pytest.raises(InputError, match="expected I/N with 1 <= I <= N"):
        parse_shard(word)
