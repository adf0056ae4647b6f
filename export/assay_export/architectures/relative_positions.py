"""DeBERTa's relative positions: which table row a distance has, and scores by distance realigned to scores by position.

A query i and a key j are at distance r = i - j. Near distances have a row of their own, far ones share logarithmic
buckets (arXiv 2111.09543; `make_log_bucket_position` in transformers).
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir
import torch

from ..net import Array, Dialect, Net

# Rows of one block in the cpu dialect. Measured on attention alone, DeBERTa-v3-base shapes, against a single block:
# 0.83 of the time at 128 tokens, 0.79 at 256, 0.95 at 512; blocks of 32 and 128 were slower (docs/performance.md).
BLOCK_ROWS = 64


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
    """Products of queries with the table by distance, realigned to scores by position; the same for keys.

    A block of b rows and L columns reaches L + b - 1 distances. Its product with their table rows, [b, W = L + b] with
    a filler, holds the score of row i' and column j at i' * W + (j - i') + b - 1 = i' * (W - 1) + j + b - 1 of the flat
    block: so with rows one element shorter, columns b-1 .. W-2 are exactly j = 0 .. L-1 (Transformer-XL's shift,
    arXiv 1901.02860). The portable dialect takes all rows as one block. The cpu dialect takes BLOCK_ROWS at most, since
    a row of a lower block needs fewer distances than the 2 L of a single one; the last block is padded with zero rows.

    All of this depends on L only, and is written once for all layers.
    """

    def __init__(self, net: Net, buckets: Buckets, length: ir.Value) -> None:
        op = net.op
        self.net, self.buckets, self.length = net, buckets, length
        with net.scope("distances"):
            self._bucket_rows = net.parameter("bucket_rows", bucket_rows(buckets))
            if net.dialect is Dialect.CPU:
                self._blocks = op.Div(op.Add(length, BLOCK_ROWS - 1), BLOCK_ROWS)
                self._block = op.Div(op.Add(length, op.Sub(self._blocks, 1)), self._blocks)
                self._padded = op.Mul(self._blocks, self._block)
                self._padding = net.shape(0, 0, 0, 0, 0, 0, op.Sub(self._padded, length), 0)
            else:
                self._blocks, self._block, self._padded = op.Constant(value_ints=[1]), length, length
            self._split_rows = net.shape(0, 0, self._blocks, self._block, -1)
            self._before_first = op.Sub(self._block, 1)
            # Queries see keys 0 .. L-1 at falling distances, keys see all (padded) queries at rising ones.
            self._query_side = self._columns(self.length, descending=True)
            self._key_side = self._columns(self._padded, descending=False)
            from_first = op.Range(0, op.Neg(op.Squeeze(length)), -1)
            self._from_first_token = self._table_rows(from_first)

    def pad(self, x: ir.Value) -> ir.Value:
        """Rows [batch, heads, L, head_size] with zero rows appended to fill the last block."""
        return self.net.op.Pad(x, self._padding, 0.0) if self.net.dialect is Dialect.CPU else x

    def unpad(self, x: ir.Value) -> ir.Value:
        """The first L rows of [batch, heads, padded, ..]."""
        return self.net.op.Slice(x, [0], self.length, [2]) if self.net.dialect is Dialect.CPU else x

    def query_scores(self, query: ir.Value, table: ir.Value) -> ir.Value:
        """query_i . table[b(i - j)] for padded queries [batch, heads, padded, head_size]: [batch, heads, padded, L]."""
        return self._scores(query, table, *self._query_side)

    def key_scores(self, key: ir.Value, table: ir.Value) -> ir.Value:
        """key_j . table[b(i - j)] for keys [batch, heads, L, head_size]: [batch, heads, padded (i), L (j)]."""
        scores = self.unpad(self._scores(self.pad(key), table, *self._key_side))
        return self.net.op.Transpose(scores, perm=[0, 1, 3, 2])

    def seen_from_first_token(self, table: ir.Value) -> ir.Value:
        """The rows for r = 0, -1, .. -(L-1), [heads, L, head_size]."""
        return self.net.op.Gather(table, self._from_first_token, axis=1)

    def _columns(self, columns: ir.Value, *, descending: bool) -> tuple[ir.Value, ...]:
        """What products with this many columns need: table rows [blocks, W], the flat block's end, W - 1, the shape."""
        op = self.net.op
        last = op.Add(columns, self._before_first)  # W - 1
        # In block n, column c is at distance r = n b + b - 1 - c from the query side, and at -r from the key side.
        first = op.Sub(op.Mul(op.Add(op.Range(0, op.Squeeze(self._blocks), 1), 1), self._block), 1)
        column = op.Range(0, op.Squeeze(op.Add(last, 1)), 1)
        distance = op.Sub(op.Unsqueeze(first, [1]), op.Unsqueeze(column, [0]))
        rows = self._table_rows(distance if descending else op.Neg(distance))
        return rows, op.Mul(self._block, last), last, self.net.shape(0, 0, -1, columns)

    def _scores(
        self, x: ir.Value, table: ir.Value, rows: ir.Value, flat_end: ir.Value, last: ir.Value, shape: ir.Value
    ) -> ir.Value:
        op = self.net.op
        windows = op.Transpose(op.Gather(table, rows, axis=1), perm=[0, 1, 3, 2])  # [heads, blocks, head_size, W]
        by_distance = op.MatMul(op.Reshape(x, self._split_rows), windows)
        flat = op.Reshape(by_distance, [0, 0, 0, -1])
        shorter = op.Reshape(op.Slice(flat, [0], flat_end, [3]), self._split_rows)
        return op.Reshape(op.Slice(shorter, self._before_first, last, [4]), shape)

    def _table_rows(self, distances: ir.Value) -> ir.Value:
        op, farthest = self.net.op, self.buckets.max_distance
        clipped = op.Max(op.Min(distances, farthest), -farthest)
        return op.Gather(self._bucket_rows, op.Add(clipped, farthest))
