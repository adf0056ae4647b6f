"""Group the rows of a batch into calls: rows of equal length, within a budget of tokens. Nothing is padded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "INT8_TOKENS_PER_CALL",
    "NO_LIMITS",
    "PACKED_TOKENS_PER_CALL",
    "PACKED_TOKENS_PER_CALL_OF_A_CORE",
    "TOKENS_PER_CALL",
    "TOKENS_PER_CALL_OF_A_CORE",
    "Limits",
    "Mode",
    "group",
    "pack",
    "split",
]

Mode = Literal["latency", "throughput"]
"""What batches are planned for: one call at a time on all cores, or one call per core (assay.ort.engine)."""

PACKED_TOKENS_PER_CALL = 1_024
"""Tokens of one call of packed rows on all cores. Larger calls were not faster."""

PACKED_TOKENS_PER_CALL_OF_A_CORE = 256
"""The same if a call has one core. Smaller calls end together, so that no core waits for the last one."""

TOKENS_PER_CALL = 4_096
"""Tokens in one call of the session: enough to keep all cores busy. It limits the memory of attention scores
[batch, heads, query, key] to that of 8 rows of 512 tokens."""

TOKENS_PER_CALL_OF_A_CORE = 512
"""Tokens in one call that has one core. Smaller, so that the last calls of a batch on all cores end together."""

INT8_TOKENS_PER_CALL = 128
"""Tokens in one int8 call, whose rows share the scale of their activations. Larger calls were not faster
(measurements in docs)."""


_SHORTEST = 3  # tokens of the shortest row: one, between two special tokens


@dataclass(frozen=True, slots=True)
class Limits:
    """A caller's own limits for one call of the session, below those of the plan; None for none.

    Attributes:
        rows: The most rows.
        tokens: The most tokens of the rows together. A longer row is a call by itself.
    """

    rows: int | None = None
    tokens: int | None = None


NO_LIMITS = Limits()


def group(lengths: Sequence[int], budget: int = TOKENS_PER_CALL) -> list[list[int]]:
    """Return the indices of rows in groups of equal length with at most `budget` tokens. A longer row is a group.

    The longest rows come first, so that ONNX Runtime's arena grows once and has room for the shorter ones.
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


def pack(lengths: Sequence[int], budget: int = PACKED_TOKENS_PER_CALL) -> list[list[int]]:
    """Return the indices of rows of any lengths in calls of at most `budget` tokens; a longer row has its own call.

    Longest first, each row into the first call with room, so that calls are full and the short ones end the batch.
    """
    calls: list[list[int]] = []
    room: list[int] = []
    first_open = 0
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        length = lengths[index]
        for number in range(first_open, len(calls)):
            if room[number] >= length:
                calls[number].append(index)
                room[number] -= length
                break
        else:
            calls.append([index])
            room.append(budget - length)
        while first_open < len(calls) and room[first_open] < _SHORTEST:
            first_open += 1
    return calls


def split(calls: Sequence[list[int]], lengths: Sequence[int], limits: Limits) -> list[list[int]]:
    """Return `calls`, lists of indices into `lengths`, cut into smaller ones where they exceed `limits`."""
    if limits == NO_LIMITS:
        return list(calls)
    parts: list[list[int]] = []
    for call in calls:
        parts.append([])
        tokens = 0
        for index in call:
            part = parts[-1]
            too_many = limits.rows is not None and len(part) == limits.rows
            too_long = limits.tokens is not None and tokens + lengths[index] > limits.tokens
            if part and (too_many or too_long):
                parts.append([])
                tokens = 0
            parts[-1].append(index)
            tokens += lengths[index]
    return parts
