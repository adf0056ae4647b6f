"""PyTorch's answers to many rows, and the rows for which a graph answers with another label."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from assay.ort.batching import group
from assay_export.checkpoint.reference import Feed, ReferenceModel

__all__ = ["find_flips", "run_pytorch"]

# PyTorch reads its weights once per call, which is most of the cost of a short row.
TOKENS_PER_CALL = 512


def run_pytorch(
    reference: ReferenceModel, feeds: Sequence[Feed], advance: Callable[[], None] = lambda: None
) -> npt.NDArray[np.float32]:
    """Run PyTorch on rows of any lengths. Rows of equal length share a call, so nothing is padded.

    Args:
        reference: The PyTorch model.
        feeds: At least one row, each as a batch of one.
        advance: Called after each row.

    Returns:
        Logits float32 [rows, labels], in the order of `feeds`.
    """
    answers: dict[int, npt.NDArray[np.float32]] = {}
    for indices in group([feed["input_ids"].size for feed in feeds], TOKENS_PER_CALL):
        batch = {name: np.concatenate([feeds[index][name] for index in indices]) for name in feeds[0]}
        for index, logits in zip(indices, reference.logits(batch), strict=True):
            answers[index] = logits
            advance()
    return np.stack([answers[index] for index in range(len(feeds))])


def find_flips(
    logits: npt.NDArray[np.float32], expected: npt.NDArray[np.float32], activation: str
) -> npt.NDArray[np.bool_]:
    """Find the rows whose label differs between two sets of logits.

    Args:
        logits: The graph's logits [rows, labels].
        expected: PyTorch's logits [rows, labels].
        activation: "softmax" for one label per row, "sigmoid" for any number of labels per row, or "identity" or
            "sigmoid score" for a scorer, which has no labels.

    Returns:
        Bool [rows]: whether the row's label, or any of its labels, differs.
    """
    if activation in ("identity", "sigmoid score"):
        return np.zeros(len(logits), bool)
    if activation == "softmax":
        different: npt.NDArray[np.bool_] = logits.argmax(-1) != expected.argmax(-1)
        return different
    return ((logits > 0) != (expected > 0)).any(axis=-1)
