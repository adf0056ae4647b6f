"""Local attention in blocks, so that L rows with a window of keys do not cost L x L.

The rows are split into blocks of at most BLOCK_ROWS. A block of b rows sees at most K = b + 2 * half_window keys, taken
from where it stands and pushed back inside the sequence at both ends, so that no key is padding. The blocks become the
batch of an ordinary attention, whose bias says which of the K keys each row may see. Up to BLOCK_ROWS tokens there is
one block, and K is L.
"""

import onnx_ir as ir

from assay_export.graphs.net import Net
from assay_export.graphs.writer import MASKED

__all__ = ["BLOCK_ROWS", "LocalBlocks"]

# Wider than the window, so that the keys gathered per row stay a small multiple of the rows; narrower, and K grows
# relative to b. 8,192 tokens then take 64 blocks of 128 rows and 256 keys instead of 8,192 x 8,192 scores.
BLOCK_ROWS = 128


class LocalBlocks:
    """The blocks of a sequence. They are computed once for all local layers."""

    def __init__(self, net: Net, half_window: int, token_ids: ir.Value, length: ir.Value) -> None:
        op = net.op
        self.net, self.length = net, length
        blocks = op.Div(op.Add(length, BLOCK_ROWS - 1), BLOCK_ROWS)
        rows = op.Div(op.Add(length, op.Sub(blocks, 1)), blocks)
        keys = op.Min(op.Add(rows, 2 * half_window), length)
        batch = op.Mul(op.Shape(token_ids, start=0, end=1), blocks)
        self._padding = net.shape(0, 0, 0, 0, op.Sub(op.Mul(blocks, rows), length), 0)
        self._query_shape = net.shape(batch, rows, -1)
        self._key_shape = net.shape(batch, keys, -1)
        self._sequence_shape = net.shape(op.Shape(token_ids, start=0, end=1), op.Mul(blocks, rows), -1)

        first_row = op.Mul(op.Range(0, op.Squeeze(blocks), 1), rows)
        first_key = op.Max(op.Min(op.Sub(first_row, half_window), op.Sub(length, keys)), 0)
        row = op.Add(op.Unsqueeze(first_row, [1]), op.Unsqueeze(op.Range(0, op.Squeeze(rows), 1), [0]))
        self._key_rows = op.Add(op.Unsqueeze(first_key, [1]), op.Unsqueeze(op.Range(0, op.Squeeze(keys), 1), [0]))
        distance = op.Abs(op.Sub(op.Unsqueeze(row, [2]), op.Unsqueeze(self._key_rows, [1])))
        bias = op.Where(op.LessOrEqual(distance, half_window), 0.0, MASKED)  # [blocks, rows, keys]
        every_sequence = net.shape(op.Shape(token_ids, start=0, end=1), blocks, rows, keys)
        #: float32 [batch * blocks, 1, rows, keys]
        self.bias = op.Reshape(op.Expand(bias, every_sequence), net.shape(batch, 1, rows, keys))

    def queries(self, x: ir.Value) -> ir.Value:
        """Split [batch, L, hidden] into [batch * blocks, rows, hidden]; the last block is filled with zeros."""
        return self.net.op.Reshape(self.net.op.Pad(x, self._padding, 0.0), self._query_shape)

    def keys(self, x: ir.Value) -> ir.Value:
        """Gather the keys that each block sees from [batch, L, hidden]: [batch * blocks, keys, hidden]."""
        return self.net.op.Reshape(self.net.op.Gather(x, self._key_rows, axis=1), self._key_shape)

    def sequence(self, x: ir.Value) -> ir.Value:
        """Join [batch * blocks, rows, hidden] to [batch, L, hidden]."""
        return self.net.op.Slice(self.net.op.Reshape(x, self._sequence_shape), [0], self.length, [1])
