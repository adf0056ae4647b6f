"""The call of transformers' text-classification pipeline (4.57, pipelines/text_classification.py).

`read_inputs` turns the pipeline's inputs into rows, and `nest` turns scores into its outputs; Model.__call__ runs the
model in between. There are three differences from the pipeline: the bundle's truncation always applies, a row must be
of the bundle's kind, and whether the output of a regression goes through a sigmoid is what the bundle says.

| inputs | top_k "" (default) | top_k an int, or None for all |
|---|---|---|
| str | [dict] | [dict, ...] |
| dict | dict | [dict, ...] |
| list | [dict, ...] | [[dict, ...], ...] |
"""

from typing import Any

from assay.errors import InputError
from assay.inputs.validation import Kind, Row, check_batch, check_row, describe

__all__ = ["PipelineAnswer", "check_function", "check_top_k", "nest", "read_inputs"]

LabelScore = dict[str, Any]
PipelineAnswer = LabelScore | list[LabelScore] | list[list[LabelScore]]


def read_inputs(inputs: object, kind: Kind) -> list[Row]:
    """Return the rows of `inputs`.

    Args:
        inputs: A text, a dict of "text" and, for pairs, "text_pair", or a batch of these or of rows.
        kind: Whether a row is a text or a pair.

    Raises:
        InputError: An input is not a row; with its index in a batch.
    """
    if isinstance(inputs, str | dict):
        return [_check_item(inputs, kind, "the input", None)]
    return check_batch(inputs, kind, _check_item)


def check_top_k(top_k: object) -> int | None:
    """Return how many labels are wanted, None for all.

    Raises:
        InputError: `top_k` is not "", None or a positive int.
    """
    if top_k is None or (isinstance(top_k, str) and top_k == ""):
        return None
    if not isinstance(top_k, int) or isinstance(top_k, bool) or top_k < 1:
        raise InputError(f"top_k is {describe(top_k)}, expected an integer of at least 1, or None for all labels")
    return top_k


def check_function(function_to_apply: object) -> str | None:
    """Return the function over the logits, in lower case; None for that of the bundle.

    Raises:
        InputError: `function_to_apply` is not None, "default", "sigmoid", "softmax" or "none", in any case.
    """
    name = function_to_apply.lower() if isinstance(function_to_apply, str) else function_to_apply
    if name is None or name == "default":
        return None
    if not isinstance(name, str) or name not in ("sigmoid", "softmax", "none"):
        found = repr(function_to_apply)[:80] if isinstance(function_to_apply, str) else describe(function_to_apply)
        raise InputError(f"function_to_apply is {found}, expected 'sigmoid', 'softmax', 'none' or 'default'")
    return name


def nest(inputs: object, labels: tuple[str, ...], scores: list[list[float]], top_k: object) -> PipelineAnswer:
    """Return `scores` [n, labels] of the rows of `inputs` as dicts of label and score, nested as in the table above."""
    ranked = [_rank(labels, row) for row in scores]
    if isinstance(top_k, str):
        best = [row[0] for row in ranked]
        return best[0] if isinstance(inputs, dict) else best
    limit = check_top_k(top_k)
    cut = [row[:limit] for row in ranked]
    return cut[0] if isinstance(inputs, str | dict) else cut


def _rank(labels: tuple[str, ...], scores: list[float]) -> list[LabelScore]:
    """Return the labels with their scores, best first. Equal scores stay in the order of the labels."""
    named = [{"label": label, "score": score} for label, score in zip(labels, scores, strict=True)]
    return sorted(named, key=lambda entry: entry["score"], reverse=True)


def _check_item(item: object, kind: Kind, where: str, index: int | None) -> Row:
    """Return one input as a row: a dict is unpacked, and anything else must be a row itself."""
    if not isinstance(item, dict):
        return check_row(item, kind, where, index)
    text, text_pair = item.get("text"), item.get("text_pair")
    unknown = set(item) - {"text", "text_pair"}
    if unknown or "text" not in item or (kind == "pair") != (text_pair is not None):
        found = ", ".join(key if isinstance(key, str) else describe(key) for key in item)
        expected = "text and text_pair" if kind == "pair" else "text alone"
        raise InputError(f"{where}: found a dict of {found or 'nothing'}, expected {expected}", row=index)
    return check_row(text if kind == "text" else (text, text_pair), kind, where, index)
