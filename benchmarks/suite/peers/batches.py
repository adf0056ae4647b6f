"""Batches for peers that have no batching: rows of similar length together, one batch at a time."""

from collections.abc import Callable, Sequence

import numpy as np

from assay.inputs.validation import Row
from benchmarks.suite.setup import Float32, Mode

__all__ = ["ROWS", "run_in_batches", "split_into_batches"]

ROWS = {"cpu": 8, "cuda": 32}
"""Most rows of a batch. On a CPU a few rows keep all cores busy, and more gain nothing."""
PADDING = 1.25
"""A batch's longest row is at most this many times as long as its shortest, in characters."""


def split_into_batches(sizes: Sequence[int], most: int) -> list[list[int]]:
    """Split the indices of rows of these sizes into batches of at most `most` rows, longest first."""
    parts: list[list[int]] = []
    for index in sorted(range(len(sizes)), key=lambda index: -sizes[index]):
        if parts and len(parts[-1]) < most and sizes[parts[-1][0]] <= PADDING * sizes[index]:
            parts[-1].append(index)
        else:
            parts.append([index])
    return parts


def run_in_batches(rows: Sequence[Row], call: Callable[[Sequence[Row]], Float32], mode: Mode, device: str) -> Float32:
    """Call a peer on all rows at once (latency), or on one batch after the other.

    Returns:
        Logits [rows, labels] in the order of the rows.
    """
    if mode == "latency":
        return call(rows)
    parts = split_into_batches([_count_characters(row) for row in rows], ROWS[device])
    answers = np.concatenate([call([rows[index] for index in part]) for part in parts])
    restored = np.empty_like(answers)
    restored[np.concatenate(parts)] = answers
    return restored


def _count_characters(row: Row) -> int:
    return len(row) if isinstance(row, str) else sum(map(len, row))
