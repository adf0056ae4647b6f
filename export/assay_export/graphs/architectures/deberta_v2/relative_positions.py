"""DeBERTa's relative positions: the table row of a distance, and realigning scores by distance to scores by position.

The distance of a query i from a key j is r = i - j. Each near distance has one row, and far ones share logarithmic
buckets (arXiv 2111.09543; `make_log_bucket_position` in transformers).
"""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
import torch

from assay_export.graphs.net import Net
from assay_export.graphs.writer import Array, Dialect

__all__ = ["BLOCK_ROWS", "Buckets", "Distances", "bucket_rows", "stack_tables"]

# Rows of one block in the cpu dialect. For int8, blocks of 64 and 256 rows are as fast within the noise, and one block
# of all rows takes 1.1 of the time at 512 tokens (docs/measurements/performance.md).
BLOCK_ROWS = 128


@dataclass(frozen=True)
class Buckets:
    """How distances share table rows. Beyond `max_distance`, all have the end rows."""

    max_distance: int
    count: int  # config's position_buckets; 0: one row for every distance

    @property
    def span(self) -> int:
        """Half the rows of the table (`pos_ebd_size` in transformers): row `span` is distance 0."""
        return self.count or self.max_distance


def bucket_rows(buckets: Buckets) -> Array:
    """Compute the row `span + bucket` of every distance r = -max_distance .. max_distance, int64 in 0 .. 2 * span.

    The buckets are computed as in transformers' make_log_bucket_position, in torch's float32: the rounding decides on
    which side of a boundary a distance falls.
    """
    distance = torch.arange(-buckets.max_distance, buckets.max_distance + 1)
    if buckets.count:
        middle = buckets.count // 2
        magnitude = torch.where(distance.abs() < middle, torch.tensor(middle - 1), distance.abs())
        farthest = torch.log(torch.tensor((buckets.max_distance - 1) / middle))
        logarithmic = torch.ceil(torch.log(magnitude / middle) / farthest * (middle - 1)) + middle
        distance = torch.where(magnitude <= middle, distance, (logarithmic * torch.sign(distance)).long())
    rows: Array = torch.clamp(distance + buckets.span, 0, 2 * buckets.span).numpy()
    return rows


def stack_tables(buckets: Buckets, position_keys: Array | None, position_queries: Array | None) -> Array:
    """Stack the tables that queries and keys are multiplied by, [heads or 2 * heads, 2 * span + 1, head_size].

    Queries and keys are both rows here. A query reads row span + bucket(row - column) of `position_keys`. A key reads
    `position_queries` in reverse order, because its distance is column - row. transformers clamps the sum, so the
    bucket `span` shares the last of the 2 * span rows of a checkpoint.
    """
    row = np.arange(2 * buckets.span + 1)
    last = 2 * buckets.span - 1
    keys = [] if position_keys is None else [position_keys[:, np.minimum(row, last)]]
    queries = [] if position_queries is None else [position_queries[:, np.minimum(row[::-1], last)]]
    return np.concatenate([*keys, *queries])


class Distances:
    """Scores by position, realigned from products of queries and keys with their tables by distance.

    A block of b rows and L columns reaches L + b - 1 distances. Its product with their table rows, [b, W = L + b] with
    a filler, holds the score of row i' and column j at i' * W + (j - i') + b - 1 = i' * (W - 1) + j + b - 1 of the flat
    block: so with rows one element shorter, columns b-1 .. W-2 are exactly j = 0 .. L-1 (Transformer-XL's shift,
    arXiv 1901.02860). The portable dialect takes all rows as one block. The cpu dialect takes BLOCK_ROWS at most, since
    a row of a lower block needs fewer distances than the 2 L of a single one; the last block is padded with zero rows.

    All of this depends only on L and is written once for all layers.
    """

    def __init__(self, net: Net, buckets: Buckets, length: ir.Value) -> None:
        op = net.op
        self.net, self.buckets, self.length = net, buckets, length
        with net.scope("distances"):
            if net.dialect is Dialect.CPU:
                blocks = op.Div(op.Add(length, BLOCK_ROWS - 1), BLOCK_ROWS)
                block = op.Div(op.Add(length, op.Sub(blocks, 1)), blocks)
                self._padding = net.shape(0, 0, 0, 0, 0, 0, op.Sub(op.Mul(blocks, block), length), 0)
            else:
                blocks, block = op.Constant(value_ints=[1]), length
            self._split_rows = net.shape(0, 0, blocks, block, -1)
            self._first, self._last = op.Sub(block, 1), op.Add(length, op.Sub(block, 1))
            self._flat_end = op.Mul(block, self._last)
            self._join_rows = net.shape(0, 0, -1, length)
            if net.dialect is Dialect.CPU:
                self._windows, self._from_first_token = self._compute_rows(blocks, block)
            else:
                self._windows, self._from_first_token = self._slice_rows()

    def scores(self, x: ir.Value, table: Array, *, of_queries: bool, of_keys: bool) -> ir.Value:
        """Compute the sum of the position terms, [batch, heads, query, key].

        Args:
            x: Queries, keys or both along the heads, [batch, heads or 2 * heads, L, head_size].
            table: Their `stack_tables`.
            of_queries: Whether x has queries.
            of_keys: Whether x has keys.
        """
        net, op = self.net, self.net.op
        products = net.table_products(x, "positions", table)
        windows = op.Gather(products.table, self._windows, axis=1)  # [heads, blocks, W, head_size]
        by_distance = products.multiply(op.Reshape(self._pad(products.x), self._split_rows), windows)
        shorter = op.Reshape(
            op.Slice(op.Reshape(by_distance, [0, 0, 0, -1]), [0], self._flat_end, [3]), self._split_rows
        )
        scores = op.Reshape(op.Slice(shorter, self._first, self._last, [4]), self._join_rows)
        heads = len(table) // (of_queries + of_keys)
        terms = [
            self._select_heads(scores, heads * number, heads * (number + 1)) for number in range(len(table) // heads)
        ]
        if of_keys:
            terms[-1] = net.transpose_last(terms[-1])
        return products.sum(terms)

    def rows_from_first_token(self, table: ir.Value) -> ir.Value:
        """Gather the rows for r = 0, -1, .. -(L-1) from a table by bucket, [heads, L, head_size]."""
        return self.net.op.Gather(table, self._from_first_token, axis=1)

    def _pad(self, x: ir.Value) -> ir.Value:
        """Append zero rows to [batch, heads, L, head_size] to fill the last block."""
        return self.net.op.Pad(x, self._padding) if self.net.dialect is Dialect.CPU else x

    def _select_heads(self, scores: ir.Value, first_head: int, end_head: int) -> ir.Value:
        """Select some heads of [batch, heads, padded, L], without the padding."""
        end = self.net.shape(end_head, self.length)
        return self.net.op.Slice(scores, [first_head, 0], end, [1, 2])

    def _compute_rows(self, blocks: ir.Value, block: ir.Value) -> tuple[ir.Value, ir.Value]:
        """Compute the table rows of the distances that each block reaches [blocks, W], and of r = 0 .. -(L-1) [L]."""
        op, farthest = self.net.op, self.buckets.max_distance
        rows = self.net.parameter("rows", bucket_rows(self.buckets))

        def of(distances: ir.Value) -> ir.Value:
            return op.Gather(rows, op.Add(op.Max(op.Min(distances, farthest), -farthest), farthest))

        # In block n, column c is at distance r = n b + b - 1 - c.
        highest = op.Sub(op.Mul(op.Add(op.Range(0, op.Squeeze(blocks), 1), 1), block), 1)
        column = op.Range(0, op.Squeeze(op.Add(self._last, 1)), 1)
        windows = of(op.Sub(op.Unsqueeze(highest, [1]), op.Unsqueeze(column, [0])))
        return windows, of(op.Range(0, op.Neg(op.Squeeze(self.length)), -1))

    def _slice_rows(self) -> tuple[ir.Value, ir.Value]:
        """Slice the result of `_compute_rows` for one block, r = L-1 .. -L [1, 2 L], from a constant.

        In the order of falling distance, the row of r is at farthest - r, and farther distances repeat the end rows.
        Only the bounds are computed: TensorRT supports integer arithmetic on shapes alone (tensorrt/lint.py).
        """
        op, farthest = self.net.op, self.buckets.max_distance
        rows = self.net.parameter("falling_rows", bucket_rows(self.buckets)[::-1])
        begin, end = op.Max(op.Sub(farthest, self._first), 0), op.Add(self.length, farthest + 1)
        repeated = op.Max(op.Sub(op.Concat(self._first, self.length, axis=0), farthest), 0)
        windows = op.Pad(op.Slice(rows, begin, end, [0]), repeated, mode="edge")
        return op.Unsqueeze(windows, [0]), op.Slice(windows, self._first, self._last, [0])
