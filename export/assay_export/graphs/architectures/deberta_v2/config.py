"""What the graph of DeBERTa-v2 and -v3 depends on in config.json, checked."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assay_export.checkpoint.configs.config_checks import expect, positive_number, whole_number
from assay_export.checkpoint.presets import Input
from assay_export.errors import UnsupportedConfigError
from assay_export.graphs.architectures.deberta_v2.convolution import Convolution
from assay_export.graphs.architectures.deberta_v2.relative_positions import Buckets
from assay_export.graphs.embedding_head import EmbeddingHead
from assay_export.graphs.writer import ACTIVATIONS

__all__ = ["ARCHITECTURE", "DebertaConfig", "read_config"]

ARCHITECTURE = "deberta-v2"


@dataclass(frozen=True)
class DebertaConfig:
    """The checked values of config.json that the graph depends on."""

    hidden_size: int
    heads: int
    layers: int
    epsilon: float
    activation: str
    pooler_activation: str
    content_to_position: bool
    position_to_content: bool
    share_position_projections: bool
    normalise_relative_embeddings: bool
    absolute_positions: bool
    buckets: Buckets
    convolution: Convolution | None  # after the first layer, in the xlarge and xxlarge checkpoints of v2
    max_length: int
    pooling: str = "cls"

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.heads

    def for_rows(self, row: Input) -> "DebertaConfig":  # noqa: ARG002
        """Return the settings themselves: the model does not tell the texts of a pair apart by token types."""
        return self

    def for_embeddings(self, head: EmbeddingHead) -> "DebertaConfig":  # noqa: ARG002
        """Refuse the encoder of a sentence model: its graph would need every token of the last layer.

        Raises:
            UnsupportedConfigError: Always.
        """
        raise UnsupportedConfigError(f"there is no authored graph for SetFit models whose encoder is a {ARCHITECTURE}")

    @property
    def layer_names(self) -> list[str]:
        return [f"layer.{index}" for index in range(self.layers)]

    @property
    def scale(self) -> float:
        """The divisor of every score: sqrt(head_size * (1 + number of position terms))."""
        return math.sqrt(self.head_size * (1 + self.content_to_position + self.position_to_content))


def read_config(config: Mapping[str, Any]) -> DebertaConfig:
    """Read and check config.json of a DeBERTa-v2/v3 checkpoint.

    Raises:
        UnsupportedConfigError: The graph does not support a value; the message names the key.
    """

    def one_of(key: str, *supported: object, default: object) -> Any:
        return expect(config, ARCHITECTURE, key, supported, default)

    def count(key: str, least: int = 1, default: int | None = None) -> int:
        return whole_number(config, ARCHITECTURE, key, least=least, default=default)

    hidden_size, heads = count("hidden_size"), count("num_attention_heads")
    if hidden_size % heads:
        raise UnsupportedConfigError(
            f"config.json: num_attention_heads = {heads} does not divide hidden_size = {hidden_size}"
        )
    one_of("relative_attention", True, default=False)
    one_of("type_vocab_size", 0, default=0)
    one_of("embedding_size", hidden_size, default=hidden_size)
    one_of("attention_head_size", hidden_size // heads, default=hidden_size // heads)
    one_of("pooler_hidden_size", hidden_size, default=hidden_size)

    position_terms = config.get("pos_att_type") or []
    if isinstance(position_terms, str):
        position_terms = [term.strip() for term in position_terms.lower().split("|") if term.strip()]
    if not isinstance(position_terms, list):
        raise UnsupportedConfigError(
            f"config.json: pos_att_type = {position_terms!r:.80}, expected a list of 'c2p' and 'p2c'"
        )
    unknown = [term for term in position_terms if term not in ("c2p", "p2c")]
    if unknown:
        raise UnsupportedConfigError(
            f"config.json: pos_att_type contains {unknown[0]!r:.80}, which the authored {ARCHITECTURE} graph does not "
            "support (supported: 'c2p', 'p2c')"
        )
    max_length = count("max_position_embeddings")
    max_distance = count("max_relative_positions", least=-1, default=-1)
    buckets = count("position_buckets", least=-1, default=-1)
    if buckets == 1:
        raise UnsupportedConfigError(
            "config.json: position_buckets = 1 is not supported: log buckets start at half their number"
        )
    farthest = max_distance if max_distance >= 1 else max_length
    _check_buckets(buckets, farthest, max_length)
    return DebertaConfig(
        hidden_size=hidden_size,
        heads=heads,
        layers=count("num_hidden_layers"),
        epsilon=positive_number(config, ARCHITECTURE, "layer_norm_eps", default=1e-7),
        activation=one_of("hidden_act", *ACTIVATIONS, default="gelu"),
        pooler_activation=one_of("pooler_hidden_act", *ACTIVATIONS, default="gelu"),
        content_to_position="c2p" in position_terms,
        position_to_content="p2c" in position_terms,
        share_position_projections=one_of("share_att_key", True, False, default=False),
        normalise_relative_embeddings=one_of("norm_rel_ebd", "layer_norm", "none", default="none") == "layer_norm",
        absolute_positions=one_of("position_biased_input", True, False, default=True),
        convolution=_read_convolution(config, hidden_size),
        buckets=Buckets(farthest, max(buckets, 0)),
        max_length=max_length,
    )


def _check_buckets(buckets: int, farthest: int, max_length: int) -> None:
    """Refuse log buckets that are not defined, or that go on beyond the farthest distance of the graph's table."""
    if buckets < 2:
        return
    least = max(buckets // 2 + 2, max_length if buckets % 2 else 0)
    if farthest < least:
        raise UnsupportedConfigError(
            f"config.json: max_relative_positions = {farthest} (or max_position_embeddings without it) is not "
            f"supported by the authored {ARCHITECTURE} graph with position_buckets = {buckets} (supported: numbers "
            f"from {least} on)"
        )


def _read_convolution(config: Mapping[str, Any], hidden_size: int) -> Convolution | None:
    kernel_size = whole_number(config, ARCHITECTURE, "conv_kernel_size", least=0, default=0)
    if not kernel_size:
        return None
    if kernel_size % 2 == 0:  # torch pads by (kernel_size - 1) // 2 on either side, which leaves one token less
        raise UnsupportedConfigError(
            f"config.json: conv_kernel_size = {kernel_size} is not supported (supported: 0 and odd numbers, which keep "
            "the number of tokens)"
        )
    groups = whole_number(config, ARCHITECTURE, "conv_groups", least=1, default=1)
    if hidden_size % groups:
        raise UnsupportedConfigError(f"config.json: conv_groups = {groups} does not divide hidden_size = {hidden_size}")
    activation = expect(config, ARCHITECTURE, "conv_act", tuple(ACTIVATIONS), "tanh")
    return Convolution(kernel_size, groups, activation)
