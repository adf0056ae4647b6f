"""The ONNX graph of ModernBERT sequence classifiers and regressors.

ModernBERT (Warner et al., arXiv 2412.13663) is a pre-norm encoder with rotary positions, a gated GeLU feed-forward
and two kinds of attention: global layers see everything (theta 160,000), the others |i - j| <= local_attention / 2
(theta 10,000). Layer 0 has no norm before its attention. 1/sqrt(head_size) is folded into the query weights: a
rotation commutes with it. Where the head pools the first token, the last layer computes a single query row.

Shapes are written [batch, heads, query, key]; weights are [in, out].
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from assay_export.graphs.architectures.modernbert.config import ARCHITECTURE, ModernBertConfig, read_config
from assay_export.graphs.architectures.modernbert.positions import Positions, rotary_frequencies
from assay_export.graphs.architectures.modernbert.smoothing import absorb, absorbable
from assay_export.graphs.embedding_head import mean_over_real_tokens, mean_over_rows, write_head
from assay_export.graphs.net import Net
from assay_export.graphs.writer import Array, Dialect, Fusion, Norm

__all__ = ["ARCHITECTURE", "ModernBertConfig", "absorb", "absorbable", "author", "read_config"]


def author(net: Net, config: ModernBertConfig, weights: Mapping[str, Array]) -> ir.Model:
    """Write the graph: token ids in, logits float32 [batch, labels] out."""
    if net.dialect is Dialect.KERNELS:
        return _author_packed(net, config, weights)
    op = net.op
    input_ids = net.token_input("input_ids")
    attention_mask = net.token_input("attention_mask") if net.dialect is Dialect.PORTABLE else None
    attention = _Attention(net, config, Positions(net, config, input_ids, net.length(input_ids), attention_mask))
    with net.scope("embeddings"):
        table = weights["model.embeddings.tok_embeddings.weight"]
        hidden = net.normed_embedding(input_ids, "word", table, _norm(config, weights, "model.embeddings.norm"))

    layers = [_Layer(net, config, weights, index) for index in range(len(config.is_global))]
    for layer in layers[:-1]:
        hidden = attention.all_tokens(layer, hidden)
    final_norm = _norm(config, weights, "model.final_norm")
    if config.pooling == "cls":
        pooled = net.norm(op.Squeeze(attention.first_token(layers[-1], hidden), [1]), final_norm)
    else:
        hidden = net.norm(attention.all_tokens(layers[-1], hidden), final_norm)
        pooled = mean_over_real_tokens(net, hidden, attention_mask)
    return net.finish(_head(net, config, weights, pooled))


def _author_packed(net: Net, config: ModernBertConfig, weights: Mapping[str, Array]) -> ir.Model:
    """Write the graph for packed rows: hidden states are [tokens, hidden], and attention is one operator per layer."""
    input_ids, row_starts = net.packed_inputs()
    attention = _PackedAttention(net, config, row_starts)
    with net.scope("embeddings"):
        table = weights["model.embeddings.tok_embeddings.weight"]
        hidden = net.normed_embedding(input_ids, "word", table, _norm(config, weights, "model.embeddings.norm"))

    layers = [_Layer(net, config, weights, index) for index in range(len(config.is_global))]
    for layer in layers[:-1]:
        hidden = attention.all_tokens(layer, hidden)
    final_norm = _norm(config, weights, "model.final_norm")
    if config.pooling == "cls":
        pooled = net.norm(attention.first_token(layers[-1], hidden), final_norm)
    else:
        hidden = net.norm(attention.all_tokens(layers[-1], hidden), final_norm)
        pooled = mean_over_rows(net, hidden, row_starts, config.hidden_size)
    return net.finish(_head(net, config, weights, pooled))


def _head(net: Net, config: ModernBertConfig, weights: Mapping[str, Array], pooled: ir.Value) -> ir.Value:
    """Compute the logits [rows, labels] of pooled rows [rows, hidden]."""
    if config.embedding_head is not None:
        return write_head(net, config.embedding_head, weights, pooled)
    with net.scope("head"):
        pooled = _dense(net, pooled, weights, "head.dense", Fusion(activation=config.classifier_activation))
        return _dense(net, pooled, weights, "classifier", Fusion(norm=_norm(config, weights, "head.norm")))


class _Layer:
    """The weights of one encoder layer, and the parts that all dialects have in common."""

    def __init__(self, net: Net, config: ModernBertConfig, weights: Mapping[str, Array], index: int) -> None:
        self.net, self.config = net, config
        self.name, self.is_global = f"layers.{index}", config.is_global[index]
        prefix = f"model.{self.name}."
        self.weights = {name.removeprefix(prefix): array for name, array in weights.items() if name.startswith(prefix)}
        #: Layer 0 has no norm before its attention.
        self.norm = None if index == 0 else _norm(config, self.weights, "attn_norm")
        scale = np.ones(3 * config.hidden_size, np.float32)
        scale[: config.hidden_size] = config.head_size**-0.5
        self._weight = self.weights["attn.Wqkv.weight"].T * scale
        bias = self.weights.get("attn.Wqkv.bias")
        self._bias = None if bias is None else bias * scale

    def query_key_value(self, hidden: ir.Value) -> ir.Value:
        """Normalise and project [.., hidden] to [.., 3 * hidden], before the rotation."""
        return self.net.fused_linear(hidden, "attn.Wqkv", self._weight, self._bias, Fusion(norm=self.norm))

    def query(self, hidden: ir.Value, norm: Norm | None) -> ir.Value:
        """Project [.., hidden] to queries [.., hidden], before the rotation."""
        return self._part(hidden, "attn.Wq", slice(None, self.config.hidden_size), norm)

    def key_value(self, hidden: ir.Value, norm: Norm | None) -> ir.Value:
        """Project [.., hidden] to keys and values [.., 2 * hidden], before the rotation."""
        return self._part(hidden, "attn.Wkv", slice(self.config.hidden_size, None), norm)

    def _part(self, hidden: ir.Value, name: str, columns: slice, norm: Norm | None) -> ir.Value:
        bias = None if self._bias is None else self._bias[columns]
        if norm is not None:  # each of the two operators has its copy of the parameters
            norm = replace(norm, name=f"{name}.{norm.name}")
        return self.net.fused_linear(hidden, name, self._weight[:, columns], bias, Fusion(norm=norm))

    def after_attention(self, context: ir.Value, residual: ir.Value) -> ir.Value:
        """Apply the output projection and the gated feed-forward, each added to the residual stream."""
        net, config, weights = self.net, self.config, self.weights
        hidden = _dense(net, context, weights, "attn.Wo", Fusion(residual=residual))
        norm = _norm(config, weights, "mlp_norm")
        gated = _dense(net, hidden, weights, "mlp.Wi", Fusion(norm=norm, activation=config.activation, gated=True))
        return _dense(net, gated, weights, "mlp.Wo", Fusion(residual=hidden))


class _PackedAttention:
    """Attention over packed rows by the operator RotaryAttention of assay-kernels."""

    def __init__(self, net: Net, config: ModernBertConfig, row_starts: ir.Value) -> None:
        self.net, self.config, self.row_starts = net, config, row_starts
        self._frequencies: dict[bool, ir.Value] = {}
        with net.scope("positions"):
            for is_global in sorted(set(config.is_global)):
                theta, kind = (config.global_theta, "global") if is_global else (config.local_theta, "local")
                frequencies = rotary_frequencies(config, theta)
                self._frequencies[is_global] = net.parameter(f"{kind}_frequency", frequencies)

    def all_tokens(self, layer: _Layer, hidden: ir.Value) -> ir.Value:
        """Apply a layer to [tokens, hidden]."""
        with self.net.scope(layer.name):
            return layer.after_attention(self._context(layer, layer.query_key_value(hidden), None), hidden)

    def first_token(self, layer: _Layer, hidden: ir.Value) -> ir.Value:
        """Apply a layer and return [rows, hidden], the only rows that a head with cls pooling reads."""
        with self.net.scope(layer.name):
            first = self.net.first_tokens(hidden, self.row_starts)
            # The rotation of the first token, at position 0, is the identity: its query needs none.
            query, key_value = layer.query(first, layer.norm), layer.key_value(hidden, layer.norm)
            return layer.after_attention(self._context(layer, key_value, query), first)

    def _context(self, layer: _Layer, projected: ir.Value, query: ir.Value | None) -> ir.Value:
        """Attend with queries, keys and values [tokens, 3 * hidden], or with `query` and [tokens, 2 * hidden]."""
        config = self.config

        def write(arithmetic: str) -> ir.Value:
            first_token = query is not None
            return self.net.kernel(
                "RotaryAttention",
                query if first_token else projected,
                self.row_starts,
                self._frequencies[layer.is_global],
                projected if first_token else None,
                shape=["rows" if first_token else "tokens", config.hidden_size],
                heads=config.heads,
                first_token=int(first_token),
                half_window=-1 if layer.is_global else config.half_window,
                arithmetic=arithmetic,
            )

        return self.net.attention("attention", write)


class _Attention:
    """Attention over [batch, sequence, hidden], for all query rows or only the first."""

    def __init__(self, net: Net, config: ModernBertConfig, positions: Positions) -> None:
        self.net, self.config, self.positions = net, config, positions

    def all_tokens(self, layer: _Layer, hidden: ir.Value) -> ir.Value:
        """Apply a layer to [batch, sequence, hidden]."""
        with self.net.scope(layer.name):
            attend = self._attend_cpu if self.net.dialect is Dialect.CPU else self._attend_portable
            return layer.after_attention(attend(layer.query_key_value(hidden), layer.is_global), hidden)

    def first_token(self, layer: _Layer, hidden: ir.Value) -> ir.Value:
        """Apply a layer and return [batch, 1, hidden], the only row that a head with cls pooling reads."""
        net, op, heads = self.net, self.net.op, self.config.heads
        with net.scope(layer.name):
            normed = hidden if layer.norm is None else net.norm(hidden, layer.norm)
            # The rotation of the first token, at position 0, is the identity: its query needs none.
            query = layer.query(op.Slice(normed, [0], [1], [1]), None)
            key_value = op.Reshape(layer.key_value(normed, None), [0, 0, 2, heads, -1])
            key, value = op.Split(key_value, axis=2, num_outputs=2, _outputs=2)
            query, key, value = (
                op.Transpose(op.Reshape(part, [0, 0, heads, -1]), perm=[0, 2, 1, 3]) for part in (query, key, value)
            )
            cos, sin = self.positions.rotary[layer.is_global]
            if net.dialect is Dialect.CPU:
                cos, sin = (op.Slice(table, [0], self.positions.length, [0]) for table in (cos, sin))
            bias = self.positions.global_bias if layer.is_global else self.positions.first_row_local_bias
            context = self._softmax_attention(query, self._rotate(key, cos, sin), value, bias)
            return layer.after_attention(context, op.Slice(hidden, [0], [1], [1]))

    def _attend_portable(self, projected: ir.Value, is_global: bool) -> ir.Value:
        """Attend with queries, keys and values [batch, sequence, 3 * hidden], before the rotation."""
        op = self.net.op
        projected = op.Reshape(projected, [0, 0, 3, self.config.heads, -1])
        query_key, value = op.Split(op.Transpose(projected, perm=[2, 0, 3, 1, 4]), [2, 1], axis=0, _outputs=2)
        bias = self.positions.global_bias if is_global else self.positions.local_bias
        rotated = self._rotate(query_key, *self.positions.rotary[is_global])
        query, key = op.Split(rotated, axis=0, num_outputs=2, _outputs=2)
        return self._softmax_attention(op.Squeeze(query, [0]), op.Squeeze(key, [0]), op.Squeeze(value, [0]), bias)

    def _attend_cpu(self, projected: ir.Value, is_global: bool) -> ir.Value:
        """Attend with ONNX Runtime's fused operators (its ContribOperators.md), in blocks where the layer is local."""
        net, blocks = self.net, self.positions.local_blocks
        query, key, value = net.op.Split(projected, axis=2, num_outputs=3, _outputs=3)
        query, key = (
            net.microsoft(
                "RotaryEmbedding",
                part,
                self.positions.first_position,
                *self.positions.rotary[is_global],
                like=part,
                num_heads=self.config.heads,
            )
            for part in (query, key)
        )
        if is_global or blocks is None:
            return self._fused_attention(query, key, value, None)
        query, key, value = blocks.queries(query), blocks.keys(key), blocks.keys(value)
        return blocks.sequence(self._fused_attention(query, key, value, blocks.bias))

    def _fused_attention(self, query: ir.Value, key: ir.Value, value: ir.Value, bias: ir.Value | None) -> ir.Value:
        """Attend with [batch, query, hidden], [batch, key, hidden] twice and a bias [batch, 1, query, key]."""
        inputs = (query, key, value, None, None, bias) if bias is not None else (query, key, value)
        return self.net.microsoft("MultiHeadAttention", *inputs, like=query, num_heads=self.config.heads, scale=1.0)

    def _softmax_attention(self, query: ir.Value, key: ir.Value, value: ir.Value, bias: ir.Value | None) -> ir.Value:
        """Attend with [batch, heads, query, head_size] and [batch, heads, key, head_size]: [batch, query, hidden]."""
        net, op = self.net, self.net.op
        scores = net.float32(net.product_with_transposed(query, key))
        if bias is not None:
            scores = op.Add(scores, bias)
        context = op.MatMul(net.like(op.Softmax(scores, axis=-1), value), value)
        return op.Reshape(op.Transpose(context, perm=[0, 2, 1, 3]), [0, 0, -1])

    def _rotate(self, x: ir.Value, cos: ir.Value, sin: ir.Value) -> ir.Value:
        """Rotate x [.., sequence, size] in halves (RoPE, arXiv 2104.09864) by cos and sin [sequence, size / 2]."""
        op = self.net.op
        left, right = op.Split(x, axis=-1, num_outputs=2, _outputs=2)
        left, right, cos, sin = self.net.common(left, right, cos, sin)
        return op.Concat(
            op.Sub(op.Mul(left, cos), op.Mul(right, sin)), op.Add(op.Mul(right, cos), op.Mul(left, sin)), axis=-1
        )


def _dense(net: Net, x: ir.Value, weights: Mapping[str, Array], name: str, fusion: Fusion) -> ir.Value:
    return net.fused_linear(x, name, weights[f"{name}.weight"].T, weights.get(f"{name}.bias"), fusion)


def _norm(config: ModernBertConfig, weights: Mapping[str, Array], name: str) -> Norm:
    return Norm(name, weights[f"{name}.weight"], weights.get(f"{name}.bias"), config.epsilon)
