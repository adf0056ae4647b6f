"""Tables of relative positions in the layout of the attention kernels (kernels/src/attention/attention.h)."""

from typing import NamedTuple

import numpy as np

from assay_export.graphs.writer import Array

__all__ = ["QuantisedTable", "TableRows", "compact", "pack_float32", "pack_int8"]

PANEL = 16  # table rows side by side in the lanes of a vector
LEVELS = 127
ZERO_POINT = 128  # what the kernels add to the int8 values that tables are multiplied with


class QuantisedTable(NamedTuple):
    """Panels int8 [heads, rows / 16, ceil(size / 4), 16, 4], with a scale and a zero-point correction per row."""

    panels: Array
    scale: Array  # float32 [heads, rows]
    correction: Array  # int32 [heads, rows]: -128 times the sum of the row's integers


class TableRows(NamedTuple):
    """The rows of a packed table: fillers of zeros, and then the rows that some distance uses."""

    fillers: int
    used: Array  # rows of the original table, [used]
    places: Array  # the packed row of each distance, int32 [distances]

    def take(self, table: Array) -> Array:
        """Select the rows of a table [heads, rows, size]: [heads, fillers + used, size]."""
        return np.pad(table[:, self.used], ((0, 0), (self.fillers, 0), (0, 0)))


def compact(bucket_rows: Array) -> TableRows:
    """Number the table rows that distances use without gaps, with distance 0 in the last lane of a panel.

    The distances of 16 keys and 64 queries from the same positions on are -15 to 63. With distance 0 in the last lane,
    they lie in five panels of the table; anywhere else, in six.

    Args:
        bucket_rows: The table row of each distance from -n to n, rising, [distances].
    """
    used, places = np.unique(bucket_rows, return_inverse=True)
    fillers = int(PANEL - 1 - places[len(places) // 2]) % PANEL
    return TableRows(fillers, used, (places + fillers).astype(np.int32))


def pack_float32(table: Array) -> Array:
    """Pack a table [heads, rows, size] as float32 [heads, rows / 16, size, 16]."""
    by_panel = _by_panel(table)
    return np.ascontiguousarray(by_panel.transpose(0, 1, 3, 2), np.float32)


def pack_int8(table: Array) -> QuantisedTable:
    """Quantise a table [heads, rows, size] symmetrically, with a scale per head and row, and pack it."""
    scale = np.abs(table).max(axis=-1) / np.float32(LEVELS)
    scale[scale == 0] = 1
    values = np.rint(table / scale[..., None]).astype(np.int8)
    values = np.pad(values, ((0, 0), (0, 0), (0, -table.shape[-1] % 4)))
    by_panel = _by_panel(values)
    words = by_panel.reshape(*by_panel.shape[:3], -1, 4).transpose(0, 1, 3, 2, 4)
    sums = values.sum(axis=-1, dtype=np.int32)
    missing = ((0, 0), (0, -table.shape[1] % PANEL))
    return QuantisedTable(
        np.ascontiguousarray(words),
        np.pad(scale.astype(np.float32), missing),
        np.pad(-ZERO_POINT * sums, missing).astype(np.int32),
    )


def _by_panel(table: Array) -> Array:
    """Reshape [heads, rows, size] to [heads, rows / 16, 16, size], padded with rows of zeros."""
    padded = np.pad(table, ((0, 0), (0, -table.shape[1] % PANEL), (0, 0)))
    return padded.reshape(len(table), -1, PANEL, table.shape[-1])
