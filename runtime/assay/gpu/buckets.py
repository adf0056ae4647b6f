"""Length buckets: the few lengths that rows are padded to on a GPU.

Kernels are chosen, memory is planned, CUDA graphs are captured and TensorRT engines are built per shape, so a GPU
should see few of them. On the CPU nothing is padded (batching.py).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from assay.inputs.tokenization import Tokens
from assay.ort.batching import TOKENS_PER_CALL

__all__ = ["all_lengths", "padded_length", "rows_per_call", "stack_padded"]

Ids = npt.NDArray[np.int64]

_SHORT = (32, 64, 128, 256, 384, 512)
_STEP = 512  # beyond the last of _SHORT


def padded_length(length: int, max_length: int) -> int:
    """The least bucket that holds `length` tokens. No bucket is longer than `max_length`, what the model reads."""
    bucket = next((short for short in _SHORT if length <= short), -(-length // _STEP) * _STEP)
    return max(length, min(bucket, max_length))


def all_lengths(max_length: int) -> list[int]:
    """Every bucket of a model that reads `max_length` tokens, shortest first."""
    lengths = [*_SHORT, *range(_SHORT[-1] + _STEP, max_length + _STEP, _STEP)]
    return sorted({min(length, max_length) for length in lengths})


def rows_per_call(length: int) -> int:
    """The most rows of `length` tokens that batching.group puts into one call."""
    return max(1, TOKENS_PER_CALL // length)


def stack_padded(tokens: Sequence[Tokens], shape: tuple[int, int], pad_token_id: int) -> dict[str, Ids]:
    """The inputs of one call by name, each int64 [batch, sequence] = `shape`, padded on the right.

    Rows beyond those of `tokens` repeat the first one, so that every row of the call has a token to attend to.
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
