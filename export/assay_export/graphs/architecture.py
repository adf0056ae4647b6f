"""What an authored architecture offers: the interface of the modules in `assay_export.graphs.architectures`."""

from collections.abc import Mapping
from typing import Any, Protocol, Self

import onnx_ir as ir

from assay_export.checkpoint.presets import Input
from assay_export.graphs.embedding_head import EmbeddingHead
from assay_export.graphs.net import Net
from assay_export.graphs.writer import Array

__all__ = ["Architecture", "Settings"]


class Settings(Protocol):
    """What every architecture's settings say; each architecture has further fields for its own graph."""

    @property
    def max_length(self) -> int:
        """The longest input in tokens."""

    @property
    def hidden_size(self) -> int:
        """Channels of the hidden states."""

    @property
    def layer_names(self) -> list[str]:
        """The scopes in which the encoder layers are written, in order."""

    @property
    def pooling(self) -> str:
        """How the head reduces the sequence to one vector: "cls" or "mean"."""

    def for_rows(self, row: Input, /) -> Self:
        """Return the settings of the graph for rows of one text, or for pairs of texts.

        A graph for pairs has the input token_type_ids if the model tells the two texts apart by it. `read_config`
        returns the settings for rows of one text.
        """

    def for_embeddings(self, head: EmbeddingHead, /) -> Self:
        """Return the settings of the graph whose logits are a linear layer over the embedding of a text.

        The weights of that layer are classifier.weight and classifier.bias.
        """


class Architecture(Protocol):
    """An architecture whose graph is authored rather than traced.

    `settings` is always the object that the same architecture's `read_config` returned. Its type is Any here, because
    each architecture reads a class of its own.
    """

    ARCHITECTURE: str
    """The name of the graphs: config.json's model_type, or that of the first model of a family."""

    def read_config(self, config: Mapping[str, Any], /) -> Settings:
        """Read the settings of the graph from config.json in the keys of transformers 4.

        Raises:
            UnsupportedConfigError: A value is not supported by the graph.
        """

    def author(self, net: Net, settings: Any, weights: Mapping[str, Array], /) -> ir.Model:
        """Write the graph and its weights into `net` and return the model."""

    def absorbable(self, settings: Any, /) -> set[str]:
        """Return the names of the linear layers whose smoothing `absorb` can move into a preceding weight."""

    def absorb(
        self, settings: Any, weights: Mapping[str, Array], smoothing: Mapping[str, Array], /
    ) -> dict[str, Array]:
        """Return the weights with the smoothing of absorbable layers moved into the weights that precede them."""
