"""ModernBERT's positions: rotations, windows and masks, which are the same for all layers."""

import numpy as np
import onnx_ir as ir
import torch

from assay_export.graphs.architectures.modernbert.config import ModernBertConfig
from assay_export.graphs.architectures.modernbert.local_attention import LocalBlocks
from assay_export.graphs.net import Net
from assay_export.graphs.writer import Array, Dialect

__all__ = ["Positions", "rotary_frequencies", "rotary_tables"]


class Positions:
    """Values that depend only on positions and are computed once for all layers."""

    def __init__(
        self,
        net: Net,
        config: ModernBertConfig,
        input_ids: ir.Value,
        length: ir.Value,
        attention_mask: ir.Value | None,
    ) -> None:
        op = net.op
        with net.scope("positions"):
            self.length = length
            self.rotary: dict[bool, list[ir.Value]] = {}
            for is_global in sorted(set(config.is_global)):
                theta, kind = (config.global_theta, "global") if is_global else (config.local_theta, "local")
                if net.dialect is Dialect.CPU:
                    # ONNX Runtime folds this when it loads the graph, so the tables are not stored.
                    steps = np.arange(config.max_length, dtype=np.float32)[:, None]
                    position = net.parameter(f"{kind}_position", steps)
                    angle = op.Mul(position, net.parameter(f"{kind}_frequency", rotary_frequencies(config, theta)))
                    self.rotary[is_global] = [op.Cos(angle), op.Sin(angle)]
                else:
                    cos, sin = rotary_tables(config, theta)
                    tables = net.factor(f"{kind}_cos", cos), net.factor(f"{kind}_sin", sin)
                    self.rotary[is_global] = [op.Slice(table, [0], length, [0]) for table in tables]
            self.first_position = op.Constant(value_ints=[0])

            self.global_bias = None if attention_mask is None else net.key_mask_bias(attention_mask)
            self.local_bias = self.first_row_local_bias = self.local_blocks = None
            if not all(config.is_global):
                position = op.Range(0.0, op.Cast(op.Squeeze(length), to=ir.DataType.FLOAT), 1.0)
                from_first = op.Unsqueeze(op.LessOrEqual(position, float(config.half_window)), [0, 1, 2])
                distance = op.Abs(op.Sub(op.Unsqueeze(position, [1]), op.Unsqueeze(position, [0])))
                in_window = op.Unsqueeze(op.LessOrEqual(distance, float(config.half_window)), [0, 1])
                if attention_mask is None:
                    self.local_blocks = LocalBlocks(net, config.half_window, input_ids, length)
                else:
                    is_real = op.Unsqueeze(op.Cast(attention_mask, to=ir.DataType.BOOL), [1, 2])
                    in_window, from_first = op.And(is_real, in_window), op.And(is_real, from_first)
                    self.local_bias = op.Where(in_window, 0.0, net.masked)
                self.first_row_local_bias = op.Where(from_first, 0.0, net.masked)


def rotary_frequencies(config: ModernBertConfig, theta: float) -> Array:
    """Compute the radians per position of each pair of channels, float32 [head_size / 2], as torch does."""
    exponent = torch.arange(0, config.head_size, 2, dtype=torch.int64).float() / config.head_size
    result: Array = (1.0 / (theta**exponent)).numpy()
    return result


def rotary_tables(config: ModernBertConfig, theta: float) -> tuple[Array, Array]:
    """Compute cosines and sines of every position's rotation, float32 [max_length, head_size / 2]."""
    angles = torch.outer(torch.arange(config.max_length).float(), torch.from_numpy(rotary_frequencies(config, theta)))
    return angles.cos().numpy(), angles.sin().numpy()
