"""Which rows of a batch share a call: rows of equal length, within a budget of tokens. Nothing is ever padded."""

from collections.abc import Sequence

__all__ = ["TOKENS_PER_CALL", "group"]

TOKENS_PER_CALL = 4_096
"""Tokens in one call of the session. Enough to fill the cores, and bounds the memory of attention scores
[batch, heads, query, key] to what 8 rows of 512 tokens take."""


def group(lengths: Sequence[int], budget: int = TOKENS_PER_CALL) -> list[list[int]]:
    """Indices of rows, in groups of one length whose tokens together do not exceed `budget`; a longer row goes alone.

    Longest first, so that ONNX Runtime's arena grows once and serves the shorter ones from what it has.
    """
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        length = lengths[index]
        last = groups[-1] if groups else None
        if last is not None and lengths[last[0]] == length and (len(last) + 1) * length <= budget:
            last.append(index)
        else:
            groups.append([index])
    return groups
