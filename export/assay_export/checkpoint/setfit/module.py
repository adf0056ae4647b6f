"""A SetFit model as one PyTorch module: encoder, pooling, normalisation and a linear layer."""

import inspect
from types import SimpleNamespace
from typing import Any

import torch

from assay_export.checkpoint.setfit.sentences import SetFitFiles
from assay_export.errors import CheckpointError

__all__ = ["SentenceClassifier"]


class SentenceClassifier(torch.nn.Module):
    """Answers as SetFitModel does, with logits: their softmax or sigmoid are the probabilities.

    The parameters of the encoder have the names that they have in transformers' sequence classifiers, such as
    bert.encoder.layer.0.output.dense.weight; those of the head are classifier.weight and classifier.bias.
    """

    def __init__(self, encoder: Any, setfit: SetFitFiles) -> None:
        """Put the head of `setfit` on `encoder`, a model of transformers without a head.

        Raises:
            CheckpointError: The encoder's hidden states have another width than the head reads.
        """
        super().__init__()
        labels, width = setfit.head.weight.shape
        if encoder.config.hidden_size != width:
            raise CheckpointError(
                f"{setfit.head_file} reads embeddings of {width} channels, and the encoder's have "
                f"{encoder.config.hidden_size} ({setfit.encoder / 'config.json'}): they belong to different models"
            )
        self.encoder_name = str(encoder.base_model_prefix)
        self.add_module(self.encoder_name, encoder)
        self.classifier = torch.nn.Linear(width, labels)
        self.classifier.weight.data = torch.from_numpy(setfit.head.weight.copy())
        self.classifier.bias.data = torch.from_numpy(setfit.head.bias.copy())
        self.pooling, self.normalized = setfit.pooling, setfit.normalized
        self.reads_types = "token_type_ids" in inspect.signature(encoder.forward).parameters

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor | None = None
    ) -> SimpleNamespace:
        """Return an object with `logits` [batch, labels]. An encoder that reads no types is not given any."""
        encoder = getattr(self, self.encoder_name)
        inputs = {"token_type_ids": token_type_ids} if self.reads_types else {}
        hidden = encoder(input_ids=input_ids, attention_mask=attention_mask, **inputs).last_hidden_state
        if self.pooling == "cls":
            pooled = hidden[:, 0]
        else:
            mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
            pooled = (hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1e-9)
        if self.normalized:
            pooled = torch.nn.functional.normalize(pooled, dim=-1)
        return SimpleNamespace(logits=self.classifier(pooled))
