"""How a peer without batching of its own is fed many rows: rows of like length together, a batch at a time."""

from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.suite.setup import Float32, Mode

ROWS = {"cpu": 8, "cuda": 32}
"""Most rows of a batch. More of them gain nothing on a CPU, whose cores a few rows fill."""
PADDING = 1.25
"""A batch's longest row is at most this many times as long as its shortest, in characters."""


def batches(sizes: Sequence[int], most: int) -> list[list[int]]:
    """The indices of rows of these sizes in batches of at most `most`, longest first."""
    parts: list[list[int]] = []
    for index in sorted(range(len(sizes)), key=lambda index: -sizes[index]):
        if parts and len(parts[-1]) < most and sizes[parts[-1][0]] <= PADDING * sizes[index]:
            parts[-1].append(index)
        else:
            parts.append([index])
    return parts


def in_batches(rows: Sequence[object], call: Callable[[Sequence[object]], Float32], mode: Mode, device: str) -> Float32:
    """Logits [rows, labels] in order: `call` on all rows at once (latency), or on one batch after the other."""
    if mode == "latency":
        return call(rows)
    parts = batches([_characters(row) for row in rows], ROWS[device])
    answers = np.concatenate([call([rows[index] for index in part]) for part in parts])
    restored = np.empty_like(answers)
    restored[np.concatenate(parts)] = answers
    return restored


def _characters(row: object) -> int:
    return len(row) if isinstance(row, str) else sum(map(len, row))  # type: ignore[call-overload]
