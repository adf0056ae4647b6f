"""Which rows belong to a shard."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import Classifier, InputError
from assay.annotate import annotate_file
from assay.annotate.shards import Shard, parse_shard
from tests.runtime.annotate import rows
from tests.runtime.annotate.rows import require


@given(st.integers(1, 40), st.integers(0, 10**6))
def test_every_row_belongs_to_exactly_one_shard(count: int, row: int) -> None:
    assert sum(parse_shard(f"{index}/{count}").has(row) for index in range(1, count + 1)) == 1


def test_a_shard_is_written_as_it_is_read() -> None:
    assert parse_shard("3/8") == Shard(3, 8)
    assert str(Shard(3, 8)) == "3/8"


@pytest.mark.parametrize("word", ["", "1", "0/2", "3/2", "1/0", "-1/2", "1/2/3", "a/b", "1/2 ", "1.0/2", "٣/٨"])
def test_a_wrong_shard_is_refused(word: str) -> None:
    with pytest.raises(InputError, match="expected I/N with 1 <= I <= N"):
        parse_shard(word)


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize("name", ["jsonl", "csv", "parquet"])
def test_shards_have_every_row_exactly_once_and_interleave_to_the_whole(
    judge: Classifier, tmp_path: Path, name: str
) -> None:
    require(name)
    source = rows.write(tmp_path / f"in.{name}", rows.pairs(101))
    annotate_file(judge, source, tmp_path / f"whole.{name}")
    whole = rows.read(tmp_path / f"whole.{name}")
    merged: list[dict[str, Any]] = [{}] * 101
    for index in range(1, 4):
        annotate_file(judge, source, tmp_path / f"{index}.{name}", shard=f"{index}/3")
        merged[index - 1 :: 3] = rows.read(tmp_path / f"{index}.{name}")
    assert [row["id"] for row in merged] == [row["id"] for row in whole]
    assert [row["label"] for row in merged] == [row["label"] for row in whole]
    scores = [[float(row["score"]) for row in table] for table in (merged, whole)]
    np.testing.assert_allclose(scores[0], scores[1], rtol=0, atol=1e-6)


def test_a_shard_does_not_fail_for_another_ones_rows(judge: Classifier, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"text": "a", "text_pair": "b"}\nno json\n' * 3)
    assert annotate_file(judge, source, tmp_path / "1.jsonl", shard="1/2").rows == 3
    with pytest.raises(InputError, match="line 2: found invalid JSON"):
        annotate_file(judge, source, tmp_path / "2.jsonl", shard="2/2")
    assert annotate_file(judge, source, tmp_path / "4.jsonl", shard="7/7").rows == 0
