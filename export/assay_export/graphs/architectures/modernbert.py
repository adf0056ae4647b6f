"""The ONNX graph of ModernBERT sequence classifiers and regressors.

ModernBERT (Warner et al., arXiv 2412.13663) is a pre-norm encoder with rotary positions, a gated GeLU feed-forward
and two kinds of attention: global layers see everything (theta 160,000), the others |i - j| <= local_attention / 2
(theta 10,000). Layer 0 has no norm before its attention. 1/sqrt(head_size) is folded into the query weights: a
rotation commutes with it. Where the head pools the first token, the last layer computes a single query row.

Shapes are written [batch, heads, query, key]; weights are [in, out].
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir
import torch

from assay_export.checkpoint.config_checks import expect, positive_number, whole_number
from assay_export.checkpoint.presets import Input
from assay_export.errors import UnsupportedConfigError
from assay_export.graphs.architectures.local_attention import LocalBlocks
from assay_export.graphs.net import Net
from assay_export.graphs.writer import ACTIVATIONS, Array, Dialect, Fusion, Norm

__all__ = [
    "ARCHITECTURE",
    "ModernBertConfig",
    "absorb",
    "absorbable",
    "author",
    "read_config",
    "rotary_frequencies",
    "rotary_tables",
]

ARCHITECTURE = "modernbert"


@dataclass(frozen=True)
class ModernBertConfig:
    """The checked values of config.json, in the keys of transformers 4, that the graph depends on."""

    hidden_size: int
    heads: int
    epsilon: float
    activation: str
    classifier_activation: str
    pooling: str  # "cls" or "mean"
    is_global: tuple[bool, ...]  # one per layer
    half_window: int
    global_theta: float
    local_theta: float
    max_length: int

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.heads

    def for_rows(self, row: Input) -> "ModernBertConfig":  # noqa: ARG002
        """Return the settings themselves: the model does not tell the texts of a pair apart by token types."""
        return self

    @property
    def layer_names(self) -> list[str]:
        return [f"layers.{index}" for index in range(len(self.is_global))]


def read_config(config: Mapping[str, Any]) -> ModernBertConfig:
    """Read and check config.json of a ModernBERT checkpoint.

    Raises:
        UnsupportedConfigError: The graph does not support a value; the message names the key.
    """

    def one_of(key: str, *supported: object, default: object) -> Any:
        return expect(config, ARCHITECTURE, key, supported, default)

    def count(key: str, least: int = 1, default: int | None = None) -> int:
        return whole_number(config, ARCHITECTURE, key, least=least, default=default)

    def positive(key: str, default: float) -> float:
        return positive_number(config, ARCHITECTURE, key, default)

    hidden_size, heads = count("hidden_size"), count("num_attention_heads")
    if hidden_size % heads or (hidden_size // heads) % 2:
        raise UnsupportedConfigError(
            f"config.json: num_attention_heads = {heads} does not divide hidden_size = {hidden_size} into heads of "
            "even size, which rotary positions need"
        )
    global_theta = positive("global_rope_theta", 160000.0)
    has_local_theta = config.get("local_rope_theta", 10000.0) is not None
    return ModernBertConfig(
        hidden_size=hidden_size,
        heads=heads,
        epsilon=positive("norm_eps", 1e-5),
        activation=one_of("hidden_activation", *ACTIVATIONS, default="gelu"),
        classifier_activation=one_of("classifier_activation", *ACTIVATIONS, default="gelu"),
        pooling=one_of("classifier_pooling", "cls", "mean", default="cls"),
        is_global=tuple(kind == "full_attention" for kind in config["layer_types"]),
        half_window=count("local_attention", default=128) // 2,
        global_theta=global_theta,
        local_theta=positive("local_rope_theta", 10000.0) if has_local_theta else global_theta,
        max_length=count("max_position_embeddings"),
    )


def author(net: Net, config: ModernBertConfig, weights: Mapping[str, Array]) -> ir.Model:
    """Write the graph: token ids in, logits float32 [batch, labels] out."""
    if net.dialect is Dialect.KERNELS:
        return _author_packed(net, config, weights)
    op = net.op
    input_ids = net.token_input("input_ids")
    attention_mask = net.token_input("attention_mask") if net.dialect is Dialect.PORTABLE else None
    attention = _Attention(net, config, _Positions(net, config, input_ids, net.length(input_ids), attention_mask))
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
        pooled = _mean_over_real_tokens(net, hidden, attention_mask)
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
        pooled = net.kernel("MeanRows", hidden, row_starts, shape=["rows", config.hidden_size])
    return net.finish(_head(net, config, weights, pooled))


def _head(net: Net, config: ModernBertConfig, weights: Mapping[str, Array], pooled: ir.Value) -> ir.Value:
    """Compute the logits [rows, labels] of pooled rows [rows, hidden]."""
    with net.scope("head"):
        pooled = _dense(net, pooled, weights, "head.dense", Fusion(activation=config.classifier_activation))
        return _dense(net, pooled, weights, "classifier", Fusion(norm=_norm(config, weights, "head.norm")))


def absorbable(config: ModernBertConfig) -> set[str]:
    """Return the names of the linear layers whose smoothing `absorb` can move into earlier weights."""
    layers = range(len(config.is_global))
    names = {f"layers.{index}.{part}" for index in layers for part in ("attn.Wqkv", "attn.Wo", "mlp.Wi", "mlp.Wo")}
    return names - {"layers.0.attn.Wqkv"}


def absorb(config: ModernBertConfig, weights: Mapping[str, Array], smoothing: Mapping[str, Array]) -> dict[str, Array]:
    """Divide the inputs of layers by `smoothing` (layer name to [in]) by changing the weights before them, exactly.

    Norm gains absorb it for the projections that read only them, the value projection for the output projection, and
    the gate half of mlp.Wi, which has no activation, for mlp.Wo. Layer 0 has no norm before its attention.
    """
    result = dict(weights)

    def divide(name: str, rows: slice, scale: Array) -> None:
        for kind in ("weight", "bias"):
            array = result.get(f"{name}.{kind}")
            if array is not None:
                array = array.copy()
                array[rows] /= scale[:, None] if array.ndim == 2 else scale
                result[f"{name}.{kind}"] = array

    for index in range(len(config.is_global)):
        layer = f"layers.{index}"
        for consumer, producer, rows in (
            ("attn.Wqkv", "attn_norm", slice(None)),
            ("attn.Wo", "attn.Wqkv", slice(2 * config.hidden_size, None)),
            ("mlp.Wi", "mlp_norm", slice(None)),
            ("mlp.Wo", "mlp.Wi", slice(weights[f"model.{layer}.mlp.Wo.weight"].shape[1], None)),
        ):
            scale = smoothing.get(f"{layer}.{consumer}")
            if scale is not None and f"model.{layer}.{producer}.weight" in result:
                divide(f"model.{layer}.{producer}", rows, scale)
    return result


class _Positions:
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

    def __init__(self, net: Net, config: ModernBertConfig, positions: _Positions) -> None:
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


def rotary_frequencies(config: ModernBertConfig, theta: float) -> Array:
    """Compute the radians per position of each pair of channels, float32 [head_size / 2], as torch does."""
    exponent = torch.arange(0, config.head_size, 2, dtype=torch.int64).float() / config.head_size
    result: Array = (1.0 / (theta**exponent)).numpy()
    return result


def rotary_tables(config: ModernBertConfig, theta: float) -> tuple[Array, Array]:
    """Compute cosines and sines of every position's rotation, float32 [max_length, head_size / 2]."""
    angles = torch.outer(torch.arange(config.max_length).float(), torch.from_numpy(rotary_frequencies(config, theta)))
    return angles.cos().numpy(), angles.sin().numpy()


def _mean_over_real_tokens(net: Net, hidden: ir.Value, attention_mask: ir.Value | None) -> ir.Value:
    """Average [batch, sequence, hidden] to [batch, hidden]."""
    op = net.op
    if attention_mask is None:
        return op.ReduceMean(hidden, [1], keepdims=0)
    mask = op.Unsqueeze(op.Cast(attention_mask, to=ir.DataType.FLOAT), [2])
    return op.Div(op.ReduceSum(op.Mul(hidden, mask), [1], keepdims=0), op.ReduceSum(mask, [1], keepdims=0))


def _dense(net: Net, x: ir.Value, weights: Mapping[str, Array], name: str, fusion: Fusion) -> ir.Value:
    return net.fused_linear(x, name, weights[f"{name}.weight"].T, weights.get(f"{name}.bias"), fusion)


def _norm(config: ModernBertConfig, weights: Mapping[str, Array], name: str) -> Norm:
    return Norm(name, weights[f"{name}.weight"], weights.get(f"{name}.bias"), config.epsilon)
