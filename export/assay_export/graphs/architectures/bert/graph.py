"""The ONNX graph of sequence classifiers and regressors of the BERT family (config.py lists its members).

These are post-norm encoders with a learned vector for each position:

- 1/sqrt(head_size) is folded into the query weights;
- where all tokens are of type 0, its vector is folded into the table of positions;
- where the head reads the first token only, the last layer computes a single query row.

Shapes are written [batch, heads, query, key]; weights are [in, out].
"""

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from assay_export.graphs.architectures.bert.config import FAMILY, BertConfig, read_config
from assay_export.graphs.embedding_head import mean_over_real_tokens, mean_over_rows, write_head
from assay_export.graphs.net import Net
from assay_export.graphs.writer import Array, Dialect, Fusion, Norm

__all__ = ["ARCHITECTURE", "FAMILY", "BertConfig", "absorb", "absorbable", "author", "read_config"]

ARCHITECTURE = "bert"


def author(net: Net, config: BertConfig, weights: Mapping[str, Array]) -> ir.Model:
    """Write the graph: token ids in, logits float32 [batch, labels] out."""
    layers = [_Layer(net, config, weights, index) for index in range(config.layers)]
    if net.dialect is Dialect.KERNELS:
        input_ids, row_starts = net.packed_inputs()
        token_types = net.packed_token_types() if config.takes_token_types else None
        packed = _PackedAttention(net, config, row_starts)
        hidden = _embed(net, config, weights, input_ids, token_types, row_starts)
        for layer in layers[:-1]:
            hidden = packed.all_tokens(layer, hidden)
        if config.pooling == "cls":
            pooled = packed.first_token(layers[-1], hidden)
        else:
            pooled = mean_over_rows(net, packed.all_tokens(layers[-1], hidden), row_starts, config.hidden_size)
        return net.finish(_head(net, config, weights, pooled))
    input_ids = net.token_input("input_ids")
    attention_mask = net.token_input("attention_mask") if net.dialect is Dialect.PORTABLE else None
    mask_bias = None if attention_mask is None else net.key_mask_bias(attention_mask)
    token_types = net.token_input("token_type_ids") if config.takes_token_types else None
    attention = _Attention(net, config, mask_bias)
    hidden = _embed(net, config, weights, input_ids, token_types, None)
    for layer in layers[:-1]:
        hidden = attention.all_tokens(layer, hidden)
    if config.pooling == "cls":
        pooled = net.op.Squeeze(attention.first_token(layers[-1], hidden), [1])
    else:
        pooled = mean_over_real_tokens(net, attention.all_tokens(layers[-1], hidden), attention_mask)
    return net.finish(_head(net, config, weights, pooled))


def absorbable(config: BertConfig) -> set[str]:
    """Return the names of the linear layers whose smoothing `absorb` can move into earlier weights."""
    return {f"{layer}.attention.output.dense" for layer in config.layer_names}


def absorb(config: BertConfig, weights: Mapping[str, Array], smoothing: Mapping[str, Array]) -> dict[str, Array]:
    """Divide the inputs of layers by `smoothing` (layer name to [in]) by changing the weights before them, exactly.

    The value projection absorbs the smoothing of the output projection, because attention averages values linearly.
    Other layers cannot absorb any: a post-norm also feeds the residual stream, and the activation is not linear.
    """
    result = dict(weights)
    for index, layer in enumerate(config.layer_names):
        scale = smoothing.get(f"{layer}.attention.output.dense")
        if scale is not None:
            value = f"{_prefix(config, index)}{config.member.names.value}"
            result[f"{value}.weight"] = result[f"{value}.weight"] / scale[:, None]
            result[f"{value}.bias"] = result[f"{value}.bias"] / scale
    return result


def _embed(
    net: Net,
    config: BertConfig,
    weights: Mapping[str, Array],
    input_ids: ir.Value,
    token_types: ir.Value | None,
    row_starts: ir.Value | None,
) -> ir.Value:
    """Compute the input of the first layer, [batch, sequence, hidden], or [tokens, hidden] of packed rows."""
    op = net.op
    scope = f"{config.member.model}.embeddings"
    positions = weights[f"{scope}.position_embeddings.weight"]
    types = weights.get(f"{scope}.token_type_embeddings.weight")
    with net.scope("embeddings"):
        hidden = net.embedding(input_ids, "word", weights[f"{scope}.word_embeddings.weight"])
        if types is not None:
            if token_types is None:
                positions = positions + types[0]
            else:
                hidden = op.Add(hidden, op.Gather(net.parameter("token_type", types), token_types))
        table = net.parameter("position", positions)
        if config.pad_token_id is not None:
            at = _count_real_tokens(net, input_ids, row_starts, config.pad_token_id)
            hidden = op.Add(hidden, op.Gather(table, at))
        elif row_starts is not None:
            hidden = op.Add(hidden, op.Gather(table, net.positions_in_rows(input_ids, row_starts)))
        else:
            hidden = op.Add(hidden, op.Slice(table, [0], net.length(input_ids), [0]))
        norm = _norm(config, weights, f"{scope}.LayerNorm", "norm")
        if config.embedding_size == config.hidden_size:
            return net.norm(hidden, norm)
        source = f"{config.member.model}.embeddings_project"
        return net.float32(_dense(net, hidden, weights, source, "project", Fusion(norm=norm)))


def _count_real_tokens(net: Net, input_ids: ir.Value, row_starts: ir.Value | None, pad_token_id: int) -> ir.Value:
    """Compute the positions of RoBERTa: pad_token_id for padding, and pad_token_id + n for the nth other token.

    The count is in float32, which is exact below 2^24 tokens: TensorRT counts floats only.
    """
    op = net.op
    is_real = op.Cast(op.Not(op.Equal(input_ids, pad_token_id)), to=ir.DataType.FLOAT)
    count = op.CumSum(is_real, 0 if row_starts is not None else 1)
    if row_starts is not None:
        first = op.Gather(row_starts, net.rows_of_tokens(input_ids, row_starts))
        count = op.Sub(count, op.Gather(op.Sub(count, is_real), first))
    return op.Cast(op.Add(op.Mul(count, is_real), float(pad_token_id)), to=ir.DataType.INT64)


def _head(net: Net, config: BertConfig, weights: Mapping[str, Array], pooled: ir.Value) -> ir.Value:
    """Compute the logits [rows, labels] of first tokens, or of pooled rows, [rows, hidden]."""
    if config.embedding_head is not None:
        return write_head(net, config.embedding_head, weights, pooled)
    member = config.member
    with net.scope("head"):
        pooled = _dense(net, pooled, weights, member.pooler, "dense", Fusion(activation=member.pooler_activation))
        return _dense(net, pooled, weights, member.classifier, "classifier", Fusion())


class _Layer:
    """The weights of one encoder layer, and the parts that all dialects have in common."""

    def __init__(self, net: Net, config: BertConfig, weights: Mapping[str, Array], index: int) -> None:
        self.net, self.config = net, config
        self.name = config.layer_names[index]
        prefix, names = _prefix(config, index), config.member.names
        self.weights = {name.removeprefix(prefix): array for name, array in weights.items() if name.startswith(prefix)}
        parts = [
            [self.weights[f"{part}.{kind}"].T for part in (names.query, names.key, names.value)]
            for kind in ("weight", "bias")
        ]
        scale = np.ones(3 * config.hidden_size, np.float32)
        scale[: config.hidden_size] = config.head_size**-0.5
        self._weight, self._bias = (np.concatenate(part, axis=-1) * scale for part in parts)

    def query_key_value(self, hidden: ir.Value) -> ir.Value:
        """Project [.., hidden] to [.., 3 * hidden]."""
        return self.net.linear(hidden, "query_key_value", self._weight, self._bias)

    def query(self, hidden: ir.Value) -> ir.Value:
        """Project [.., hidden] to [.., hidden]."""
        queries = slice(None, self.config.hidden_size)
        return self.net.linear(hidden, "query", self._weight[:, queries], self._bias[queries])

    def key_value(self, hidden: ir.Value) -> ir.Value:
        """Project [.., hidden] to [.., 2 * hidden]."""
        rest = slice(self.config.hidden_size, None)
        return self.net.linear(hidden, "key_value", self._weight[:, rest], self._bias[rest])

    def after_attention(self, context: ir.Value, residual: ir.Value) -> ir.Value:
        """Apply the output projection and the feed-forward, with a norm after each residual sum."""
        net, config, weights, names = self.net, self.config, self.weights, self.config.member.names
        norm = _norm(config, weights, names.attention_norm, "attention.output.norm")
        fusion = Fusion(residual=residual, post_norm=norm)
        attended = _dense(net, context, weights, names.attention_output, "attention.output.dense", fusion)
        inner = _dense(net, attended, weights, names.inner, "intermediate.dense", Fusion(activation=config.activation))
        fusion = Fusion(residual=attended, post_norm=_norm(config, weights, names.output_norm, "output.norm"))
        return _dense(net, inner, weights, names.outer, "output.dense", fusion)


class _PackedAttention:
    """Attention over packed rows by assay-kernels' DisentangledAttention without its terms for relative positions."""

    def __init__(self, net: Net, config: BertConfig, row_starts: ir.Value) -> None:
        self.net, self.config, self.row_starts = net, config, row_starts

    def all_tokens(self, layer: _Layer, hidden: ir.Value) -> ir.Value:
        """Apply a layer to [tokens, hidden]."""
        with self.net.scope(layer.name):
            return layer.after_attention(self._context(layer.query_key_value(hidden), None), hidden)

    def first_token(self, layer: _Layer, hidden: ir.Value) -> ir.Value:
        """Apply a layer to [tokens, hidden] and return [rows, hidden], the only rows that the head reads."""
        with self.net.scope(layer.name):
            first = self.net.first_tokens(hidden, self.row_starts)
            return layer.after_attention(self._context(layer.key_value(hidden), layer.query(first)), first)

    def _context(self, projected: ir.Value, query: ir.Value | None) -> ir.Value:
        """Attend with queries, keys and values [tokens, 3 * hidden], or with `query` and [tokens, 2 * hidden]."""

        def write(arithmetic: str) -> ir.Value:
            first_token = query is not None
            return self.net.kernel(
                "DisentangledAttention",
                query if first_token else projected,
                self.row_starts,
                projected if first_token else None,
                shape=["rows" if first_token else "tokens", self.config.hidden_size],
                heads=self.config.heads,
                first_token=int(first_token),
                arithmetic=arithmetic,
            )

        return self.net.attention("attention", write)


class _Attention:
    """Attention over [batch, sequence, hidden], for all query rows or only the first."""

    def __init__(self, net: Net, config: BertConfig, mask_bias: ir.Value | None) -> None:
        self.net, self.config, self.mask_bias = net, config, mask_bias

    def all_tokens(self, layer: _Layer, hidden: ir.Value) -> ir.Value:
        """Apply a layer to [batch, sequence, hidden]."""
        with self.net.scope(layer.name):
            query, key, value = self.net.op.Split(layer.query_key_value(hidden), axis=-1, num_outputs=3, _outputs=3)
            return layer.after_attention(self._attend(query, key, value), hidden)

    def first_token(self, layer: _Layer, hidden: ir.Value) -> ir.Value:
        """Apply a layer and return [batch, 1, hidden], the only row that the head reads."""
        op = self.net.op
        with self.net.scope(layer.name):
            first = op.Slice(hidden, [0], [1], [1])
            key, value = op.Split(layer.key_value(hidden), axis=-1, num_outputs=2, _outputs=2)
            return layer.after_attention(self._attend(layer.query(first), key, value), first)

    def _attend(self, query: ir.Value, key: ir.Value, value: ir.Value) -> ir.Value:
        """Attend with [batch, query, hidden] and [batch, key, hidden] twice: [batch, query, hidden]."""
        net, op, heads = self.net, self.net.op, self.config.heads
        if net.dialect is Dialect.CPU:
            return net.microsoft("MultiHeadAttention", query, key, value, like=query, num_heads=heads, scale=1.0)
        query, key, value = (
            op.Transpose(op.Reshape(part, [0, 0, heads, -1]), perm=[0, 2, 1, 3]) for part in (query, key, value)
        )
        scores = net.float32(net.product_with_transposed(query, key))
        if self.mask_bias is not None:
            scores = op.Add(scores, self.mask_bias)
        context = op.MatMul(net.like(op.Softmax(scores, axis=-1), value), value)
        return op.Reshape(op.Transpose(context, perm=[0, 2, 1, 3]), [0, 0, -1])


def _prefix(config: BertConfig, index: int) -> str:
    return f"{config.member.model}.{config.member.layers}.{index}."


def _dense(net: Net, x: ir.Value, weights: Mapping[str, Array], source: str, name: str, fusion: Fusion) -> ir.Value:
    """Write the linear layer whose parameters the checkpoint calls `source` under `name`."""
    return net.fused_linear(x, name, weights[f"{source}.weight"].T, weights[f"{source}.bias"], fusion)


def _norm(config: BertConfig, weights: Mapping[str, Array], source: str, name: str) -> Norm:
    return Norm(name, weights[f"{source}.weight"], weights[f"{source}.bias"], config.epsilon)
