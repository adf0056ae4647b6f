"""The head of models of sentences: pooled hidden states, divided by their length or not, and one linear layer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import onnx_ir as ir

from assay_export.graphs.net import Net
from assay_export.graphs.writer import Array, Fusion

__all__ = ["EmbeddingHead", "mean_over_real_tokens", "mean_over_rows", "write_head"]

# torch.nn.functional.normalize divides by nothing smaller.
_LEAST_LENGTH = 1e-12


@dataclass(frozen=True)
class EmbeddingHead:
    """What is between the hidden states and the linear layer.

    Attributes:
        pooling: Whether the embedding is the first token or the mean over all.
        normalized: Whether the embedding is divided by its Euclidean length.
    """

    pooling: Literal["cls", "mean"]
    normalized: bool


def write_head(net: Net, head: EmbeddingHead, weights: Mapping[str, Array], pooled: ir.Value) -> ir.Value:
    """Compute the logits [rows, labels] of pooled hidden states [rows, hidden]."""
    op = net.op
    with net.scope("head"):
        pooled = net.float32(pooled)
        if head.normalized:
            pooled = op.Div(pooled, op.Max(op.ReduceL2(pooled, [-1], keepdims=1), _LEAST_LENGTH))
        weight, bias = weights["classifier.weight"].T, weights["classifier.bias"]
        return net.fused_linear(pooled, "classifier", weight, bias, Fusion())


def mean_over_real_tokens(net: Net, hidden: ir.Value, attention_mask: ir.Value | None) -> ir.Value:
    """Average [batch, sequence, hidden] to [batch, hidden]."""
    op = net.op
    if attention_mask is None:
        return op.ReduceMean(hidden, [1], keepdims=0)
    mask = op.Unsqueeze(op.Cast(attention_mask, to=ir.DataType.FLOAT), [2])
    return op.Div(op.ReduceSum(op.Mul(hidden, mask), [1], keepdims=0), op.ReduceSum(mask, [1], keepdims=0))


def mean_over_rows(net: Net, hidden: ir.Value, row_starts: ir.Value, hidden_size: int) -> ir.Value:
    """Average the tokens of each packed row: [tokens, hidden] to [rows, hidden]."""
    return net.kernel("MeanRows", hidden, row_starts, shape=["rows", hidden_size])
