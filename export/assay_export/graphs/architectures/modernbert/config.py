"""What the graph of ModernBERT depends on in config.json, checked."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from assay_export.checkpoint.configs.config_checks import expect, positive_number, whole_number
from assay_export.checkpoint.presets import Input
from assay_export.errors import UnsupportedConfigError
from assay_export.graphs.embedding_head import EmbeddingHead
from assay_export.graphs.writer import ACTIVATIONS

__all__ = ["ARCHITECTURE", "ModernBertConfig", "read_config"]

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
    embedding_head: EmbeddingHead | None = None

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.heads

    def for_rows(self, row: Input) -> "ModernBertConfig":  # noqa: ARG002
        """Return the settings themselves: the model does not tell the texts of a pair apart by token types."""
        return self

    def for_embeddings(self, head: EmbeddingHead) -> "ModernBertConfig":
        """Return the settings of the graph whose logits are a linear layer over the embedding of a text."""
        return replace(self, pooling=head.pooling, embedding_head=head)

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
