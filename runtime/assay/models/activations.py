"""What turns logits into scores, in float32 and to the bit as in transformers' pipeline."""

from collections.abc import Callable, Mapping

import numpy as np

from assay.models.runner import Float32

__all__ = ["FUNCTIONS", "sigmoid", "softmax"]


def softmax(logits: Float32) -> Float32:
    """Return the softmax over the last axis in float32, shifted by the maximum as in transformers' pipeline."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: Float32 = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return probabilities


def sigmoid(logits: Float32) -> Float32:
    """Return 1 / (1 + exp(-x)) in float32, as in transformers' pipeline. Where exp overflows, 0 is the right result."""
    with np.errstate(over="ignore"):
        return np.float32(1.0) / (np.float32(1.0) + np.exp(-logits))


FUNCTIONS: Mapping[str, Callable[[Float32], Float32]] = {
    "sigmoid": sigmoid,
    "softmax": softmax,
    "none": lambda logits: logits,
}
"""The values of function_to_apply of transformers' pipeline."""
