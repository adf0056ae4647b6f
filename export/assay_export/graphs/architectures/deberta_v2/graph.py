"""The ONNX graph of DeBERTa-v2 and -v3 sequence classifiers.

DeBERTa (He et al., arXiv 2006.03654; v3: arXiv 2111.09543) scores a query i against a key j by content and by the
bucket b(r) of their distance r = i - j:

    score[i, j] = (q_i . k_j  +  q_i . PK[b(r)]  +  k_j . PQ[b(r)]) / sqrt(terms * head_size)

PK and PQ are the relative-embedding table after a layer's key and query projections. They do not depend on the input
and are computed here. The rest is exact in float32 up to rounding:

- 1/sqrt(terms * head_size) is folded into the query projection and into PQ;
- a product with the 2 L distances that L tokens can reach, realigned by Transformer-XL's shift, replaces gathering
  batch * heads * L * L elements;
- the head reads the first token only, so the last layer computes a single query row;
- the convolution of the xlarge and xxlarge checkpoints of v2 is a linear layer over each token and its neighbours. It
  reads the embeddings, and is added to the result of the first layer.

Shapes are written [batch, heads, query, key]; weights are [in, out].
"""

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir
import torch

from assay_export.graphs.architectures.deberta_v2 import convolution
from assay_export.graphs.architectures.deberta_v2.config import ARCHITECTURE, DebertaConfig, read_config
from assay_export.graphs.architectures.deberta_v2.relative_positions import Distances, bucket_rows, stack_tables
from assay_export.graphs.architectures.deberta_v2.smoothing import absorb, absorbable
from assay_export.graphs.kernels import attention_tables
from assay_export.graphs.net import Net
from assay_export.graphs.writer import Array, Dialect, Fusion, Norm

__all__ = ["ARCHITECTURE", "DebertaConfig", "absorb", "absorbable", "author", "read_config", "relative_embeddings"]


def author(net: Net, config: DebertaConfig, weights: Mapping[str, Array]) -> ir.Model:
    """Write the graph: token ids in, logits float32 [batch, labels] out."""
    if net.dialect is Dialect.KERNELS:
        return _author_packed(net, config, weights)
    op = net.op
    input_ids = net.token_input("input_ids")
    length = net.length(input_ids)
    attention_mask = net.token_input("attention_mask") if net.dialect is Dialect.PORTABLE else None
    mask_bias = None if attention_mask is None else net.key_mask_bias(attention_mask)

    with net.scope("embeddings"):
        # transformers sets the embeddings of padding to zero here. Only the convolution reads them: padded keys are
        # masked.
        hidden = net.embedding(input_ids, "word", weights["deberta.embeddings.word_embeddings.weight"])
        if config.absolute_positions:
            positions = net.parameter("position", weights["deberta.embeddings.position_embeddings.weight"])
            hidden = op.Add(hidden, op.Slice(positions, [0], length, [0]))
        hidden = net.norm(hidden, _norm(config, weights, "deberta.embeddings.LayerNorm"))
        neighbours = None
        if config.convolution is not None:
            neighbours = convolution.gather(net, hidden, config.convolution, length, attention_mask)

    attention = _Attention(net, Distances(net, config.buckets, length), mask_bias)
    layers = _layers(net, config, weights)
    for layer in layers[:-1]:
        hidden = layer.convolve(attention.all_tokens(layer, hidden), neighbours)
    first = attention.first_token(layers[-1], hidden)
    if neighbours is not None:
        first = layers[-1].convolve(first, op.Slice(neighbours, [0], [1], [1]))
    return net.finish(_head(net, config, weights, op.Squeeze(first, [1])))


def _author_packed(net: Net, config: DebertaConfig, weights: Mapping[str, Array]) -> ir.Model:
    """Write the graph for packed rows: hidden states are [tokens, hidden], and attention is one operator per layer."""
    op = net.op
    input_ids, row_starts = net.packed_inputs()
    with net.scope("embeddings"):
        norm = _norm(config, weights, "deberta.embeddings.LayerNorm")
        table = weights["deberta.embeddings.word_embeddings.weight"]
        if config.absolute_positions:
            positions = net.parameter("position", weights["deberta.embeddings.position_embeddings.weight"])
            at = op.Gather(positions, net.positions_in_rows(input_ids, row_starts))
            hidden = net.norm(op.Add(net.embedding(input_ids, "word", table), at), norm)
        else:
            hidden = net.normed_embedding(input_ids, "word", table, norm)
        neighbours = None
        if config.convolution is not None:
            neighbours = convolution.gather_packed(net, hidden, config.convolution, input_ids, row_starts)

    attention = _PackedAttention(net, config, row_starts)
    layers = _layers(net, config, weights)
    for layer in layers[:-1]:
        hidden = layer.convolve(attention.all_tokens(layer, hidden), neighbours)
    first = attention.first_token(layers[-1], hidden)
    if neighbours is not None:
        first = layers[-1].convolve(first, net.first_tokens(neighbours, row_starts))
    return net.finish(_head(net, config, weights, first))


def _head(net: Net, config: DebertaConfig, weights: Mapping[str, Array], first: ir.Value) -> ir.Value:
    """Compute the logits [rows, labels] of first tokens [rows, hidden]."""
    with net.scope("head"):
        pooled = _dense(net, first, weights, "pooler.dense", Fusion(activation=config.pooler_activation))
        return _dense(net, pooled, weights, "classifier", Fusion())


class _Layer:
    """The weights of one encoder layer, and the parts that all dialects have in common."""

    def __init__(self, net: Net, config: DebertaConfig, weights: Mapping[str, Array], index: int, table: Array) -> None:
        self.net, self.config = net, config
        self.name = f"layer.{index}"
        self.weights = {
            name.removeprefix(f"deberta.encoder.layer.{index}."): array
            for name, array in weights.items()
            if name.startswith(f"deberta.encoder.layer.{index}.")
        }
        self._query = [
            self.weights["attention.self.query_proj.weight"].T / np.float32(config.scale),
            self.weights["attention.self.query_proj.bias"] / np.float32(config.scale),
        ]
        self._key_value = [
            np.concatenate([self.weights[f"attention.self.{part}_proj.{kind}"].T for part in ("key", "value")], axis=-1)
            for kind in ("weight", "bias")
        ]
        self._convolution: dict[str, Array] | None = None
        if index == 0 and config.convolution is not None:
            prefix = "deberta.encoder.conv."
            self._convolution = {name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)}
        shared = config.share_position_projections
        self.position_keys = self.position_queries = None
        if config.content_to_position:
            self.position_keys = self._position_table("key_proj" if shared else "pos_key_proj", table, 1.0)
        if config.position_to_content:
            projection = "query_proj" if shared else "pos_query_proj"
            self.position_queries = self._position_table(projection, table, config.scale)

    def query_key_value(self, hidden: ir.Value) -> ir.Value:
        """Project [.., hidden] to [.., 3 * hidden]."""
        weight, bias = (np.concatenate(parts, axis=-1) for parts in zip(self._query, self._key_value, strict=True))
        return self.net.linear(hidden, "query_key_value", weight, bias)

    def query(self, hidden: ir.Value) -> ir.Value:
        """Project [.., hidden] to [.., hidden]."""
        return self.net.linear(hidden, "query", *self._query)

    def key_value(self, hidden: ir.Value) -> ir.Value:
        """Project [.., hidden] to [.., 2 * hidden]."""
        return self.net.linear(hidden, "key_value", *self._key_value)

    def after_attention(self, context: ir.Value, residual: ir.Value) -> ir.Value:
        """Apply the output projection and the feed-forward, with a norm after each residual sum."""
        net, config, weights = self.net, self.config, self.weights
        first_norm = _norm(config, weights, "attention.output.LayerNorm")
        attended = _dense(
            net, context, weights, "attention.output.dense", Fusion(residual=residual, post_norm=first_norm)
        )
        inner = _dense(net, attended, weights, "intermediate.dense", Fusion(activation=config.activation))
        second_norm = _norm(config, weights, "output.LayerNorm")
        return _dense(net, inner, weights, "output.dense", Fusion(residual=attended, post_norm=second_norm))

    def convolve(self, hidden: ir.Value, neighbours: ir.Value | None) -> ir.Value:
        """Add the convolution of `neighbours` [.., kernel * hidden], if this layer has one, and normalise the sum."""
        config, weights = self.config.convolution, self._convolution
        if config is None or weights is None or neighbours is None:
            return hidden
        weight, bias = convolution.fold_weight(weights["conv.weight"], config.groups), weights["conv.bias"]
        norm = _norm(self.config, weights, "LayerNorm")
        fusion = Fusion(activation=config.activation, residual=hidden, post_norm=norm)
        with self.net.scope(f"{self.name}.conv"):
            return self.net.fused_linear(neighbours, "conv", weight, bias, fusion)

    def _position_table(self, projection: str, table: Array, scale: float) -> Array:
        """Project the relative-embedding table: by bucket, [heads, 2 * span, head_size]."""
        weight = self.weights[f"attention.self.{projection}.weight"]
        projected = (table @ weight.T + self.weights[f"attention.self.{projection}.bias"]) / np.float32(scale)
        return np.ascontiguousarray(projected.reshape(len(table), self.config.heads, -1).transpose(1, 0, 2))


class _Attention:
    """Attention over [batch, sequence, hidden] in ONNX operators, for all query rows or only the first."""

    def __init__(self, net: Net, distances: Distances, mask_bias: ir.Value | None) -> None:
        self.net, self.distances, self.mask_bias = net, distances, mask_bias

    def all_tokens(self, layer: _Layer, hidden: ir.Value) -> ir.Value:
        """Apply a layer to [batch, sequence, hidden]."""
        net, op, config = self.net, self.net.op, layer.config
        heads = config.heads
        with net.scope(layer.name):
            projected = op.Reshape(layer.query_key_value(hidden), [0, 0, 3 * heads, -1])
            query_key, value = op.Split(
                op.Transpose(projected, perm=[0, 2, 1, 3]), [2 * heads, heads], axis=1, _outputs=2
            )
            query, key = op.Split(query_key, axis=1, num_outputs=2, _outputs=2)
            scores = net.product_with_transposed(query, key)
            of_queries, of_keys = config.content_to_position, config.position_to_content
            if of_queries or of_keys:
                x = query_key if of_queries and of_keys else query if of_queries else key
                table = stack_tables(config.buckets, layer.position_keys, layer.position_queries)
                by_position = self.distances.scores(x, table, of_queries=of_queries, of_keys=of_keys)
                scores = op.Add(*net.common(scores, by_position))
            return layer.after_attention(self._context(scores, value), hidden)

    def first_token(self, layer: _Layer, hidden: ir.Value) -> ir.Value:
        """Apply a layer and return [batch, 1, hidden], the only row that the head reads."""
        net, op, heads = self.net, self.net.op, layer.config.heads
        with net.scope(layer.name):
            first = op.Slice(hidden, [0], [1], [1])
            query = op.Transpose(op.Reshape(layer.query(first), [0, 0, heads, -1]), perm=[0, 2, 1, 3])
            projected = op.Reshape(layer.key_value(hidden), [0, 0, 2 * heads, -1])
            key, value = op.Split(op.Transpose(projected, perm=[0, 2, 1, 3]), axis=1, num_outputs=2, _outputs=2)

            # The distance of query 0 from key j is r = -j: the tables are read in that order, without realigning.
            reached = key
            if layer.position_keys is not None:
                table = net.table("position_keys", layer.position_keys)
                reached = op.Add(*net.common(key, self.distances.rows_from_first_token(table)))
            scores = net.product_with_transposed(query, reached)
            if layer.position_queries is not None:
                table = net.table("position_queries", layer.position_queries)
                products = op.Mul(*net.common(key, self.distances.rows_from_first_token(table)))
                of_key = op.ReduceSum(net.float32(products), [-1], keepdims=0)
                scores = op.Add(net.float32(scores), op.Unsqueeze(of_key, [2]))
            return layer.after_attention(self._context(scores, value), first)

    def _context(self, scores: ir.Value, value: ir.Value) -> ir.Value:
        """Apply softmax to scores [batch, heads, query, key] and average values [batch, heads, key, head_size]."""
        net, op = self.net, self.net.op
        scores = net.float32(scores)
        if self.mask_bias is not None:
            scores = op.Add(scores, self.mask_bias)
        context = op.MatMul(net.like(op.Softmax(scores, axis=-1), value), value)
        return op.Reshape(op.Transpose(context, perm=[0, 2, 1, 3]), [0, 0, -1])


class _PackedAttention:
    """Attention over packed rows by the operator DisentangledAttention of assay-kernels."""

    def __init__(self, net: Net, config: DebertaConfig, row_starts: ir.Value) -> None:
        self.net, self.row_starts = net, row_starts
        # transformers clamps the bucket `span` to the last of the 2 * span table rows.
        rows = np.minimum(bucket_rows(config.buckets), 2 * config.buckets.span - 1)
        self._rows = attention_tables.compact(rows)
        self._bucket_rows: ir.Value | None = None
        if config.content_to_position or config.position_to_content:
            with net.scope("distances"):
                self._bucket_rows = net.parameter("bucket_rows", self._rows.places)

    def all_tokens(self, layer: _Layer, hidden: ir.Value) -> ir.Value:
        """Apply a layer to [tokens, hidden]."""
        with self.net.scope(layer.name):
            return layer.after_attention(self._context(layer, layer.query_key_value(hidden), None), hidden)

    def first_token(self, layer: _Layer, hidden: ir.Value) -> ir.Value:
        """Apply a layer to [tokens, hidden] and return [rows, hidden], the only rows that the head reads."""
        with self.net.scope(layer.name):
            first = self.net.first_tokens(hidden, self.row_starts)
            return layer.after_attention(self._context(layer, layer.key_value(hidden), layer.query(first)), first)

    def _context(self, layer: _Layer, projected: ir.Value, query: ir.Value | None) -> ir.Value:
        """Attend with queries, keys and values [tokens, 3 * hidden], or with `query` and [tokens, 2 * hidden]."""
        net, config = self.net, layer.config

        def write(arithmetic: str) -> ir.Value:
            first_token = query is not None
            return net.kernel(
                "DisentangledAttention",
                query if first_token else projected,
                self.row_starts,
                projected if first_token else None,
                self._bucket_rows,
                *self._table("position_keys", layer.position_keys, arithmetic),
                *self._table("position_queries", layer.position_queries, arithmetic),
                shape=["rows" if first_token else "tokens", config.hidden_size],
                heads=config.heads,
                first_token=int(first_token),
                arithmetic=arithmetic,
            )

        return net.attention("attention", write)

    def _table(self, name: str, table: Array | None, arithmetic: str) -> list[ir.Value | None]:
        """Pack a table by bucket [heads, 2 * span, head_size] for the operator: panels, scale and correction."""
        if table is None:
            return [None, None, None]
        table, name = self._rows.take(table), f"{name}.{arithmetic}"
        if arithmetic == "float32":
            return [self.net.parameter(name, attention_tables.pack_float32(table)), None, None]
        packed = attention_tables.pack_int8(table)
        parts = zip(("", ".scale", ".correction"), packed, strict=True)
        return [self.net.parameter(f"{name}{part}", array) for part, array in parts]


def relative_embeddings(config: DebertaConfig, weights: Mapping[str, Array]) -> Array:
    """Compute the relative-embedding table after its LayerNorm, [2 * span, hidden]. Row `span` is distance 0."""
    table = torch.from_numpy(weights["deberta.encoder.rel_embeddings.weight"][: 2 * config.buckets.span])
    if config.normalise_relative_embeddings:
        gain, bias = (torch.from_numpy(weights[f"deberta.encoder.LayerNorm.{part}"]) for part in ("weight", "bias"))
        table = torch.nn.functional.layer_norm(table, (config.hidden_size,), gain, bias, config.epsilon)
    result: Array = table.numpy()
    return result


def _layers(net: Net, config: DebertaConfig, weights: Mapping[str, Array]) -> list[_Layer]:
    table = relative_embeddings(config, weights)
    return [_Layer(net, config, weights, index, table) for index in range(config.layers)]


def _dense(net: Net, x: ir.Value, weights: Mapping[str, Array], name: str, fusion: Fusion) -> ir.Value:
    return net.fused_linear(x, name, weights[f"{name}.weight"].T, weights[f"{name}.bias"], fusion)


def _norm(config: DebertaConfig, weights: Mapping[str, Array], name: str) -> Norm:
    return Norm(name, weights[f"{name}.weight"], weights[f"{name}.bias"], config.epsilon)
