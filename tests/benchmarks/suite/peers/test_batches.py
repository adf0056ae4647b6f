"""Batches for peers that have no batching."""

from collections.abc import Sequence

import numpy as np
import pytest

from assay.inputs.validation import Row
from benchmarks.suite.peers.batches import ROWS, run_in_batches, split_into_batches
from benchmarks.suite.setup import Float32, Mode


def measure_lengths(rows: Sequence[Row]) -> Float32:
    """Answer with the length of each text."""
    return np.array([[len(str(row))] for row in rows], np.float32)


@pytest.mark.parametrize("mode", ["latency", "throughput"])
def test_batched_answers_come_in_the_order_of_the_rows(mode: Mode) -> None:
    rows = ["x" * length for length in (3, 70, 1, 9, 300, 10, 9, 8, 71, 72, 2, 10, 11)]
    answer = run_in_batches(rows, measure_lengths, mode, "cpu")
    assert answer[:, 0].tolist() == [len(row) for row in rows]


def test_a_batch_has_rows_of_similar_length_and_every_row_is_in_one() -> None:
    sizes = [100, 10, 99, 11, 50, 81, 80, 79]
    parts = split_into_batches(sizes, ROWS["cpu"])
    assert parts == [[0, 2, 5, 6], [7], [4], [3, 1]]
    assert sorted(index for part in parts for index in part) == list(range(len(sizes)))
