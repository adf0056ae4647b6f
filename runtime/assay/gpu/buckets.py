"""Pad rows to a few lengths on a GPU, the buckets.

Kernels are selected, memory is planned, CUDA graphs are captured and TensorRT engines are built per shape, so a GPU
should see few shapes. On the CPU nothing is padded (assay.ort.batching).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from assay.inputs.tokenization import Tokens
from assay.ort.batching import TOKENS_PER_CALL

__all__ = ["choose_bucket", "limit_rows", "list_buckets", "pad_rows"]

Ids = npt.NDArray[np.int64]

_SHORT = (32, 64, 128, 256, 384, 512)
_STEP = 512  # beyond the last of _SHORT


def choose_bucket(length: int, max_length: int) -> int:
    """Return the smallest bucket for a row of `length` tokens. No bucket is longer than the model's `max_length`."""
    bucket = next((short for short in _SHORT if length <= short), -(-length // _STEP) * _STEP)
    return max(length, min(bucket, max_length))


def list_buckets(max_length: int) -> list[int]:
    """Return every bucket of a model that reads `max_length` tokens, shortest first."""
    lengths = [*_SHORT, *range(_SHORT[-1] + _STEP, max_length + _STEP, _STEP)]
    return sorted({min(length, max_length) for length in lengths})


def limit_rows(length: int) -> int:
    """Return the most rows of `length` tokens that batching.group puts into one call."""
    return max(1, TOKENS_PER_CALL // length)


def pad_rows(tokens: Sequence[Tokens], shape: tuple[int, int], pad_token_id: int) -> dict[str, Ids]:
    """Pad rows on the right.

    Args:
        tokens: The rows.
        shape: Rows and length of the call. Additional rows repeat the first one, so that every row has a token that
            is not masked.
        pad_token_id: The token that pads.

    Returns:
        The inputs of the call by name, each int64 [batch, sequence].
    """
    ids = np.full(shape, pad_token_id, np.int64)
    type_ids = np.zeros(shape, np.int64)
    mask = np.zeros(shape, np.int64)
    for index in range(shape[0]):
        row = tokens[index] if index < len(tokens) else tokens[0]
        ids[index, : len(row.ids)] = row.ids
        type_ids[index, : len(row.ids)] = row.type_ids
        mask[index, : len(row.ids)] = 1
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": type_ids}
