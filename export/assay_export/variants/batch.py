"""A small batch of calibration text, for measurements that run once per layer."""

from collections.abc import Sequence

import numpy as np

from assay_export.checkpoint.reference import Feed
from assay_export.graphs.writer import Array

__all__ = ["make_batch"]


def make_batch(feeds: Sequence[Feed], rows: int, tokens: int) -> Array:
    """Cut some of the longer rows to one length, so that nothing is padded.

    Args:
        feeds: At least one row, each as a batch of one.
        rows: The most rows of the batch.
        tokens: The most tokens of a row.

    Returns:
        Token ids int64 [rows, tokens], or fewer if `feeds` has fewer rows or shorter ones.
    """
    longest = sorted((feed["input_ids"][0] for feed in feeds), key=len)[-4 * rows :]
    chosen = longest[:: -(-len(longest) // rows)]
    length = min(tokens, *(len(ids) for ids in chosen))
    return np.stack([ids[:length] for ids in chosen])
