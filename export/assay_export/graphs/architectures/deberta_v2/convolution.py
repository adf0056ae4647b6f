"""A convolution over the tokens of a row, written as a linear layer that reads each token with its neighbours.

As a linear layer it has every precision that linear layers have. Outside of a row, and where a row is padded, the
neighbours are zeros, so that a token's result does not depend on padding or on other rows.
"""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from assay_export.graphs.net import Net
from assay_export.graphs.writer import Array

__all__ = ["Convolution", "fold_weight", "gather", "gather_packed"]


@dataclass(frozen=True)
class Convolution:
    """A convolution that leaves the number of tokens as it is.

    Attributes:
        kernel_size: The number of tokens that one result reads, odd: as many to the left as to the right.
        groups: The channels are split into so many groups, and a result reads those of its own group.
        activation: Applied to the result (a key of ACTIVATIONS).
    """

    kernel_size: int
    groups: int
    activation: str

    @property
    def reach(self) -> int:
        """The number of neighbours on either side."""
        return self.kernel_size // 2


def fold_weight(weight: Array, groups: int) -> Array:
    """Reorder a weight of torch.nn.Conv1d [out, in / groups, kernel] to that of a linear layer [kernel * in, out].

    A linear layer reads the channels of all groups: the weights of the other groups are zero.
    """
    outputs, inputs, kernel_size = weight.shape
    folded = np.zeros((kernel_size, groups * inputs, outputs), np.float32)
    for group in range(groups):
        rows = slice(group * inputs, (group + 1) * inputs)
        columns = slice(group * outputs // groups, (group + 1) * outputs // groups)
        folded[:, rows, columns] = weight[columns].transpose(2, 1, 0)
    return folded.reshape(-1, outputs)


def gather(
    net: Net, hidden: ir.Value, convolution: Convolution, length: ir.Value, attention_mask: ir.Value | None
) -> ir.Value:
    """Put the neighbours of each token of [batch, sequence, hidden] next to it, [batch, sequence, kernel * hidden]."""
    op, reach = net.op, convolution.reach
    if attention_mask is not None:
        is_real = op.Unsqueeze(op.Cast(attention_mask, to=ir.DataType.BOOL), [2])
        hidden = op.Where(is_real, hidden, 0.0)
    if not reach:
        return hidden
    padded = op.Pad(hidden, [0, reach, 0, 0, reach, 0], 0.0)
    shifted = [op.Slice(padded, [offset], op.Add(length, offset), [1]) for offset in range(convolution.kernel_size)]
    return op.Concat(*shifted, axis=-1)


def gather_packed(
    net: Net, hidden: ir.Value, convolution: Convolution, input_ids: ir.Value, row_starts: ir.Value
) -> ir.Value:
    """Put the neighbours of each packed token of [tokens, hidden] next to it, [tokens, kernel * hidden]."""
    op, reach = net.op, convolution.reach
    if not reach:
        return hidden
    first, end = (op.Unsqueeze(bound, [1]) for bound in net.bounds_of_rows(input_ids, row_starts))
    token = op.Unsqueeze(op.Range(0, op.Squeeze(op.Shape(input_ids)), 1), [1])
    neighbour = op.Add(token, op.Constant(value_ints=list(range(-reach, reach + 1))))
    in_row = op.And(op.GreaterOrEqual(neighbour, first), op.Less(neighbour, end))
    # Row 0 of the table is zeros. They are gathered and not multiplied, so that NaN in one row stays there.
    table = op.Pad(hidden, [1, 0, 0, 0], 0.0)
    gathered = op.Gather(table, op.Where(in_row, op.Add(neighbour, 1), 0), axis=0)
    result = op.Reshape(gathered, [0, -1])
    assert hidden.shape is not None
    assert isinstance(hidden.shape[-1], int)
    result.shape = ir.Shape(["tokens", convolution.kernel_size * hidden.shape[-1]])
    return result
