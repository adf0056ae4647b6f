"""How fast an answer can be: its operations and bytes over what a machine does in a second.

The number of operations of an answer is that of PyTorch's own model. What the machine does is measured
(`benchmarks.suite.measure.peaks`, `benchmarks.machine.peaks`); a GPU has its data sheet as well.
"""

from collections.abc import Mapping

import numpy as np

__all__ = [
    "BYTES",
    "DATA_SHEETS",
    "count_bytes",
    "count_operations",
    "count_skipped",
    "floor_seconds",
    "roofline_seconds",
    "share_of_limit",
]

# Dense rates in operations per second and memory bandwidth in bytes per second, from NVIDIA's data sheets.
# L4: https://resources.nvidia.com/en-us-data-center-overview/l4-gpu-datasheet (with sparsity, halved)
DATA_SHEETS = {
    "NVIDIA L4": {"fp32": 30.3e12, "bf16": 121e12, "fp16": 121e12, "int8": 242e12, "bytes_per_second": 300e9},
}

BYTES = {"fp32": 4, "bf16": 2, "fp16": 2, "int8": 1}
"""The bytes of a weight in each precision."""


def count_operations(probes: Mapping[str, float], tokens: float) -> float:
    """Compute the operations of a sequence from the counts at three lengths.

    Layers cost a multiple of the tokens, attention a multiple of their square. What does not depend on the tokens is
    left out: DeBERTa projects its table of relative positions in every call, and that constant can be folded.

    Args:
        probes: Operations by number of tokens.
        tokens: The length of the sequence.
    """
    lengths = np.array([float(length) for length in probes])
    # Scaled, so that the squares of small and large lengths can be told apart in floats.
    coefficients = np.polyfit(lengths / lengths.max(), np.array(list(probes.values()), np.float64), 2)
    coefficients[-1] = 0
    return float(np.polyval(coefficients, tokens / lengths.max()))


def count_skipped(local: Mapping[str, int] | None, tokens: int) -> float:
    """Count the operations of full attention that local attention need not do in a sequence.

    Args:
        local: The number of such `layers`, their `window` of tokens and the `hidden` size; None without any.
        tokens: The length of the sequence.
    """
    if local is None:
        return 0.0
    half = local["window"] // 2  # a token attends to as many on either side, and to itself
    positions = np.arange(tokens)
    attended = np.minimum(positions, half) + np.minimum(tokens - 1 - positions, half) + 1
    pairs = tokens**2 - float(attended.sum())
    return local["layers"] * 4 * local["hidden"] * pairs  # the products with keys and with values


def count_bytes(weights: Mapping[str, int], tokens: float, precision: str) -> float:
    """Count the bytes of weights that an answer reads at least: every matrix once, an embedding per token."""
    return BYTES[precision] * (weights["matrices"] + tokens * weights["per_token"])


def share_of_limit(operations: float, seconds: float, peak: float) -> float:
    """Return the share of `peak` (operations per second) that an answer of `operations` in `seconds` reaches."""
    return operations / seconds / peak


def floor_seconds(operations: float, weight_bytes: float, peak: float, bytes_per_second: float) -> float:
    """Return the least time of an answer: its arithmetic at the peak, or reading its weights once if that is longer."""
    return max(operations / peak, weight_bytes / bytes_per_second)


def roofline_seconds(operations: float, weight_bytes: float, sheet: Mapping[str, float], precision: str) -> float:
    """Return the least time of an answer by the data sheet of a GPU."""
    return floor_seconds(operations, weight_bytes, sheet[precision], sheet["bytes_per_second"])
