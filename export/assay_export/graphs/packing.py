"""Packed rows: the inputs of a graph of the kernels dialect."""

from collections.abc import Iterable

import numpy as np

from assay_export.graphs.writer import Array

__all__ = ["pack_rows"]


def pack_rows(rows: Iterable[Array]) -> dict[str, Array]:
    """Concatenate rows of token ids, and return them with where each starts and the last one ends."""
    together = list(rows)
    starts = np.concatenate([[0], np.cumsum([len(row) for row in together])])
    return {"input_ids": np.concatenate(together), "row_starts": starts.astype(np.int64)}
