"""DeBERTa's relative positions: which table row a distance has, and scores by distance realigned to scores by position.

A query i and a key j are at distance r = i - j. Near distances have a row of their own, far ones share logarithmic
buckets (arXiv 2111.09543; `make_log_bucket_position` in transformers).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
import torch

from ..net import Array, Dialect, Net


@dataclass(frozen=True)
class Buckets:
    """How distances share table rows; beyond `max_distance` they have the end rows."""

    max_distance: int
    count: int  # config's position_buckets; 0: every distance has a row of its own

    @property
    def span(self) -> int:
        """Half the rows of the table (`pos_ebd_size` in transformers): row `span` is distance 0."""
        return self.count or self.max_distance


def bucket_rows(buckets: Buckets) -> Array:
    """The table row of every distance r = -max_distance .. max_distance, int64; farther ones share the end rows.

    Log buckets as transformers' make_log_bucket_position computes them, in torch's float32: which side of a bucket
    boundary a distance falls on depends on that rounding.
    """
    distance = torch.arange(-buckets.max_distance, buckets.max_distance + 1)
    if buckets.count:
        middle = buckets.count // 2
        magnitude = torch.where(distance.abs() < middle, torch.tensor(middle - 1), distance.abs())
        farthest = torch.log(torch.tensor((buckets.max_distance - 1) / middle))
        logarithmic = torch.ceil(torch.log(magnitude / middle) / farthest * (middle - 1)) + middle
        distance = torch.where(magnitude <= middle, distance, (logarithmic * torch.sign(distance)).long())
    rows: Array = torch.clamp(distance + buckets.span, 0, 2 * buckets.span - 1).numpy()
    return rows


class Distances:
    """Which table rows the distances of L tokens reach, and how products by distance become scores by position.

    It depends on L only, and so is written once for all layers.
    """

    def __init__(self, net: Net, buckets: Buckets, max_length: int, length: ir.Value) -> None:
        op = net.op
        self.net, self.buckets, self.max_length = net, buckets, max_length
        with net.scope("distances"):
            self.length = length
            self.row_width = op.Sub(op.Mul(length, 2), 1)
            self.flat_end = op.Mul(length, self.row_width)
            self.last = op.Sub(length, 1)
            self.square_rows = net.shape(0, 0, length, -1)
            self.slice_start = op.Sub([max_length], length)
            self.slice_end = op.Add(length, [max_length])

            self._bucket_rows = net.parameter("bucket_rows", bucket_rows(buckets))
            tokens = op.Squeeze(length)
            self.descending = self._table_rows(op.Range(op.Sub(tokens, 1), op.Sub(op.Neg(tokens), 1), -1))
            self.ascending = self._table_rows(op.Range(op.Sub(1, tokens), op.Add(tokens, 1), 1))
            self.from_first_token = self._table_rows(op.Range(0, op.Neg(tokens), -1))

    def _table_rows(self, distances: ir.Value) -> ir.Value:
        op, farthest = self.net.op, self.buckets.max_distance
        clipped = op.Max(op.Min(distances, farthest), -farthest)
        return op.Gather(self._bucket_rows, op.Add(clipped, farthest))

    def reachable(self, by_bucket: Array, name: str, *, descending: bool) -> ir.Value:
        """The columns of the 2 L distances that L tokens reach, [heads, head_size, 2 L], the last a filler.

        Ascending: r = -(L-1) .. L. Descending: r = L-1 .. -L.
        """
        op = self.net.op
        if self.net.dialect is Dialect.CPU:
            # The runtime sends at most max_length tokens: the table can hold every distance, and a slice suffices.
            farthest, longest = self.buckets.max_distance, self.max_length
            reach = np.clip(np.arange(1 - longest, longest + 1), -farthest, farthest)
            order = bucket_rows(self.buckets)[(-reach if descending else reach) + farthest]
            by_distance = self.net.parameter(name, by_bucket[:, order].transpose(0, 2, 1))
            return op.Slice(by_distance, self.slice_start, self.slice_end, [2])
        rows = op.Gather(self.net.parameter(name, by_bucket), self.descending if descending else self.ascending, axis=1)
        return op.Transpose(rows, perm=[0, 2, 1])

    def seen_from_first_token(self, by_bucket: Array, name: str) -> ir.Value:
        """The rows for r = 0, -1, .. -(L-1), [heads, L, head_size]."""
        return self.net.op.Gather(self.net.parameter(name, by_bucket), self.from_first_token, axis=1)

    def align(self, by_distance: ir.Value) -> ir.Value:
        """Transformer-XL's shift: [.., L, 2 L] by distance to [.., L, L] by position.

        Column j of row i stands at i * 2L + (j - i) + L - 1 = i * (2L - 1) + j + L - 1 of the flat block: so with rows
        one element shorter, columns L-1 .. 2L-2 are exactly j = 0 .. L-1.
        """
        op = self.net.op
        flat = op.Reshape(by_distance, [0, 0, -1])
        shorter = op.Reshape(op.Slice(flat, [0], self.flat_end, [2]), self.square_rows)
        return op.Slice(shorter, self.last, self.row_width, [3])
