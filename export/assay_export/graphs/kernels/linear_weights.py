"""Weights of linear layers in the layouts of the kernels (kernels/src/linear/linear_kernels.h)."""

import numpy as np

from assay_export.graphs.writer import Array

__all__ = ["pack_columns", "pack_float_weight", "pack_weight", "sum_columns"]

PANEL = 64  # output columns of a panel
DEPTH = 64  # input columns of int8 weights are padded to a multiple of this
HALF_PANEL = 32  # of a gated layer: columns of each half in a panel


def pack_weight(values: Array, gated: bool = False) -> Array:
    """Pack int8 [in, out] as [panels, in / 4, 64, 4], padded with zeros."""
    columns = pack_columns(values, gated)
    padded = np.zeros((-(-len(values) // DEPTH) * DEPTH, columns.shape[1]), np.int8)
    padded[: len(values)] = columns
    by_panel = padded.reshape(len(padded) // 4, 4, -1, PANEL)
    return np.ascontiguousarray(by_panel.transpose(2, 0, 3, 1))


def pack_float_weight(weight: Array, gated: bool = False) -> Array:
    """Pack float32 [in, out] as [panels, in, 64], padded with zeros."""
    columns = pack_columns(weight, gated)
    return np.ascontiguousarray(columns.reshape(len(weight), -1, PANEL).transpose(1, 0, 2))


def sum_columns(values: Array, group: int, gated: bool = False) -> Array:
    """Sum int8 [in, out] over each group of input columns (0: all of them), int32 [groups, padded out]."""
    columns = pack_columns(values.astype(np.int32), gated)
    starts = np.arange(0, len(values), group or len(values))
    return np.add.reduceat(columns, starts, axis=0).astype(np.int32)


def pack_columns(values: Array, gated: bool = False) -> Array:
    """Order the columns of [rows, out] by panel, padded with zeros.

    A panel of a gated layer has 32 columns of the activated half, then the 32 columns of the gate.
    """
    if not gated:
        return _pad_columns(values, PANEL)
    halves = [_pad_columns(half, HALF_PANEL) for half in np.split(values, 2, axis=1)]
    by_panel = [half.reshape(len(values), -1, 1, HALF_PANEL) for half in halves]
    return np.concatenate(by_panel, axis=2).reshape(len(values), -1)


def _pad_columns(values: Array, multiple: int) -> Array:
    return np.pad(values, ((0, 0), (0, -values.shape[1] % multiple)))
