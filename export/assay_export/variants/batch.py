"""A small batch of calibration text, for measurements that run once per layer."""

from collections.abc import Sequence

import numpy as np

from assay_export.checkpoint.reference import Feed

__all__ = ["make_batch"]


def make_batch(feeds: Sequence[Feed], rows: int, tokens: int) -> Feed:
    """Cut some of the longer rows to one length, so that nothing is padded.

    Args:
        feeds: At least one row, each as a batch of one.
        rows: The most rows of the batch.
        tokens: The most tokens of a row.

    Returns:
        The inputs of `feeds`, each int64 [rows, tokens], or fewer if `feeds` has fewer rows or shorter ones.
    """
    longest = sorted(feeds, key=lambda feed: feed["input_ids"].size)[-4 * rows :]
    chosen = longest[:: -(-len(longest) // rows)]
    length = min(tokens, *(feed["input_ids"].size for feed in chosen))
    return {name: np.concatenate([feed[name][:, :length] for feed in chosen]) for name in feeds[0]}
