"""The settings of the BERT family from config.json, and where each member keeps its weights.

BERT (Devlin et al., arXiv 1810.04805; MiniLM checkpoints are BERT models), RoBERTa (arXiv 1907.11692), XLM-RoBERTa,
CamemBERT, DistilBERT (arXiv 1910.01108) and ELECTRA (arXiv 2003.10555) differ in the names of their weights and config
keys, in where positions begin, in token types, and in the head.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from assay_export.checkpoint.configs.config_checks import expect, positive_number, whole_number
from assay_export.checkpoint.presets import Input
from assay_export.errors import UnsupportedConfigError
from assay_export.graphs.embedding_head import EmbeddingHead

__all__ = ["FAMILY", "BertConfig", "LayerNames", "Member", "read_config"]

ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu")


@dataclass(frozen=True)
class LayerNames:
    """The parameters of one encoder layer, below the layer's prefix."""

    query: str = "attention.self.query"
    key: str = "attention.self.key"
    value: str = "attention.self.value"
    attention_output: str = "attention.output.dense"
    attention_norm: str = "attention.output.LayerNorm"
    inner: str = "intermediate.dense"
    outer: str = "output.dense"
    output_norm: str = "output.LayerNorm"


@dataclass(frozen=True)
class ConfigKeys:
    """The keys of config.json that not all members write alike."""

    hidden_size: str = "hidden_size"
    heads: str = "num_attention_heads"
    layers: str = "num_hidden_layers"
    activation: str = "hidden_act"


@dataclass(frozen=True)
class Member:
    """What sets one member of the family apart.

    Attributes:
        model: The prefix of the encoder's weights.
        pooler: The first linear layer of the head, which reads the first token.
        pooler_activation: The activation after it; no config key changes it.
        classifier: The linear layer that returns the logits.
        layers: The prefix of the encoder layers, below `model`.
        names: The parameters of a layer.
        keys: The keys of config.json.
        has_token_types: Whether there is a table of token types.
        tells_texts_apart: Whether the tokenizer numbers the texts of a pair 0 and 1. RoBERTa's numbers both 0.
        counts_real_tokens: Whether positions count the tokens other than padding, from pad_token_id + 1 on.
        has_epsilon: Whether config.json names the epsilon of the norms, which is 1e-12 otherwise.
        projects_embeddings: Whether embeddings may have another width than the layers.
    """

    model: str
    pooler: str
    pooler_activation: str
    classifier: str
    layers: str = "encoder.layer"
    names: LayerNames = LayerNames()
    keys: ConfigKeys = ConfigKeys()
    has_token_types: bool = True
    tells_texts_apart: bool = True
    counts_real_tokens: bool = False
    has_epsilon: bool = True
    projects_embeddings: bool = False


BERT = Member("bert", "bert.pooler.dense", "tanh", "classifier")
ROBERTA = Member(
    "roberta", "classifier.dense", "tanh", "classifier.out_proj", tells_texts_apart=False, counts_real_tokens=True
)
ELECTRA = Member("electra", "classifier.dense", "gelu", "classifier.out_proj", projects_embeddings=True)
DISTILBERT = Member(
    "distilbert",
    "pre_classifier",
    "relu",
    "classifier",
    layers="transformer.layer",
    names=LayerNames(
        query="attention.q_lin",
        key="attention.k_lin",
        value="attention.v_lin",
        attention_output="attention.out_lin",
        attention_norm="sa_layer_norm",
        inner="ffn.lin1",
        outer="ffn.lin2",
        output_norm="output_layer_norm",
    ),
    keys=ConfigKeys("dim", "n_heads", "n_layers", "activation"),
    has_token_types=False,
    tells_texts_apart=False,
    has_epsilon=False,
)

#: By model_type.
FAMILY: Mapping[str, Member] = {
    "bert": BERT,
    "roberta": ROBERTA,
    "xlm-roberta": ROBERTA,
    "camembert": ROBERTA,
    "distilbert": DISTILBERT,
    "electra": ELECTRA,
}


@dataclass(frozen=True)
class BertConfig:
    """The checked values of config.json that the graph depends on.

    Attributes:
        embedding_size: Channels of the embeddings; ELECTRA projects them to `hidden_size`.
        takes_token_types: Whether token_type_ids is an input. Otherwise all tokens are of type 0.
        pad_token_id: The token that positions do not count, or None if they are those in the row.
    """

    member: Member
    hidden_size: int
    embedding_size: int
    heads: int
    layers: int
    epsilon: float
    activation: str
    token_types: int
    takes_token_types: bool
    pad_token_id: int | None
    max_length: int
    pooling: str = "cls"
    embedding_head: EmbeddingHead | None = None

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.heads

    @property
    def layer_names(self) -> list[str]:
        return [f"layer.{index}" for index in range(self.layers)]

    def for_rows(self, row: Input) -> "BertConfig":
        """Return the settings of the graph for rows of one text, or for pairs, whose texts may differ in type."""
        types_differ = row == "pair" and self.member.tells_texts_apart and self.token_types > 1
        return replace(self, takes_token_types=types_differ)

    def for_embeddings(self, head: EmbeddingHead) -> "BertConfig":
        """Return the settings of the graph whose logits are a linear layer over the embedding of a text."""
        return replace(self, pooling=head.pooling, embedding_head=head)


def read_config(config: Mapping[str, Any]) -> BertConfig:
    """Read and check config.json of a checkpoint of the family, for rows of one text.

    Raises:
        UnsupportedConfigError: The graph does not support a value; the message names the key.
    """
    model_type = config["model_type"]
    member = FAMILY[model_type]

    def one_of(key: str, *supported: object, default: object) -> Any:
        return expect(config, model_type, key, supported, default)

    def count(key: str, least: int = 1, default: int | None = None) -> int:
        return whole_number(config, model_type, key, least=least, default=default)

    one_of("position_embedding_type", "absolute", default="absolute")
    one_of("is_decoder", False, default=False)
    one_of("add_cross_attention", False, default=False)
    one_of("pruned_heads", {}, None, default=None)
    keys = member.keys
    hidden_size, heads = count(keys.hidden_size), count(keys.heads)
    if hidden_size % heads:
        raise UnsupportedConfigError(
            f"config.json: {keys.heads} = {heads} does not divide {keys.hidden_size} = {hidden_size}"
        )
    positions, pad_token_id = count("max_position_embeddings"), None
    if member.counts_real_tokens:
        pad_token_id = count("pad_token_id", least=0, default=1)
        positions -= pad_token_id + 1
        if positions < 1:
            raise UnsupportedConfigError(
                f"config.json: max_position_embeddings = {config['max_position_embeddings']!r} leaves no position for "
                f"tokens: they begin after pad_token_id = {pad_token_id}"
            )
    return BertConfig(
        member=member,
        hidden_size=hidden_size,
        embedding_size=count("embedding_size", default=128) if member.projects_embeddings else hidden_size,
        heads=heads,
        layers=count(keys.layers),
        epsilon=positive_number(config, model_type, "layer_norm_eps", 1e-12) if member.has_epsilon else 1e-12,
        activation=one_of(keys.activation, *ACTIVATIONS, default="gelu"),
        token_types=count("type_vocab_size", default=2) if member.has_token_types else 0,
        takes_token_types=False,
        pad_token_id=pad_token_id,
        max_length=positions,
    )
