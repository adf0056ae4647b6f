"""The gate of the model's inputs: a graph takes the numbers of the texts (token_type_ids) if transformers gives them.

Transformers calls the model with what `model_input_names` of the tokenizer lists. A graph that takes more or less than
that answers another question, unless the model does not tell the difference.
"""

import inspect

import numpy as np

from assay_export.checkpoint.presets import Input
from assay_export.checkpoint.reference import Feed, ReferenceModel
from assay_export.checkpoint.rounding import FP32_MAX_DELTA
from assay_export.checkpoint.tokenizer import TokenizerFiles
from assay_export.errors import ExportError
from assay_export.gates.parity import encode
from assay_export.texts import real_text

__all__ = ["check"]

_TYPES = "token_type_ids"
_ROWS = 3  # every row of a model that uses the types shows it


def check(tokens: TokenizerFiles, reference: ReferenceModel, kind: Input, inputs: tuple[str, ...]) -> None:
    """Compare what PyTorch answers to the inputs that transformers gives it and to those that the graph takes.

    Args:
        tokens: The tokenizer of the checkpoint.
        reference: The PyTorch model.
        kind: Whether the model reads texts or pairs.
        inputs: The inputs of the portable graph.

    Raises:
        ExportError: The answers differ.
    """
    takes_types = _TYPES in inputs
    if tokens.gives_token_types == takes_types or _TYPES not in inspect.signature(reference.module.forward).parameters:
        return
    for feed in encode(tokens.tokenizer, real_text.rows(kind)[:_ROWS], tokens.max_length):
        delta = _measure(reference, feed)
        if delta is not None and not delta <= FP32_MAX_DELTA:
            raise ExportError(_describe(tokens, takes_types, delta))


def _measure(reference: ReferenceModel, feed: Feed) -> float | None:
    """Return the largest difference in logits that the types make, or None if the model does not run with them."""
    without = reference.logits({name: array for name, array in feed.items() if name != _TYPES})
    try:
        return float(np.abs(reference.logits(feed) - without).max())
    except (IndexError, RuntimeError):  # a table of one type: with two, transformers has no answer to compare with
        return None


def _describe(tokens: TokenizerFiles, takes_types: bool, delta: float) -> str:
    where = f"{tokens.reference.folder}: model_input_names of the tokenizer"
    if takes_types:
        return (
            f"{where} has no {_TYPES}, but the graph takes them, and with them PyTorch's logits differ by {delta:.2g}; "
            "if the model was trained with them, add them to model_input_names in tokenizer_config.json"
        )
    return (
        f"{where} has {_TYPES}, but the graph does not take them, and without them PyTorch's logits differ by "
        f"{delta:.2g}; if the model was trained without them, remove them from model_input_names in "
        "tokenizer_config.json"
    )
