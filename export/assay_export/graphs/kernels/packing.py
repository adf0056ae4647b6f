"""Packed rows: the inputs of a graph of the kernels dialect."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from assay_export.graphs.writer import Array

__all__ = ["pack_feeds", "pack_rows"]


def pack_rows(rows: Iterable[Array]) -> dict[str, Array]:
    """Concatenate rows of token ids, and return them with where each starts and the last one ends."""
    together = list(rows)
    starts = np.concatenate([[0], np.cumsum([len(row) for row in together])])
    return {"input_ids": np.concatenate(together), "row_starts": starts.astype(np.int64)}


def pack_feeds(feeds: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Concatenate feeds of one row each, [1, sequence], with their token types if they have any."""
    packed = pack_rows(feed["input_ids"][0] for feed in feeds)
    if "token_type_ids" in feeds[0]:
        packed["token_type_ids"] = np.concatenate([feed["token_type_ids"][0] for feed in feeds])
    return packed
