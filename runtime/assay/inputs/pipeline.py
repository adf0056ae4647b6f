"""Calls in the manner of transformers' text-classification pipeline (4.57, pipelines/text_classification.py).

`read_inputs` turns what the pipeline takes into rows, `nest` turns scores into what it gives; Model.__call__ runs the
model between the two. What differs from the pipeline: the bundle's truncation always applies, a row must be of the
bundle's kind, and the output of a regression head never meets a sigmoid, whatever its config says.

| inputs | top_k "" (not given) | top_k an int, or None for all |
|---|---|---|
| str | [dict] | [dict, ...] |
| dict | dict | [dict, ...] |
| list | [dict, ...] | [[dict, ...], ...] |
"""

from typing import Any

from assay.errors import InputError
from assay.inputs.validation import Kind, Row, check_batch, check_row, describe

__all__ = ["PipelineAnswer", "check_top_k", "nest", "read_inputs"]

LabelScore = dict[str, Any]
PipelineAnswer = LabelScore | list[LabelScore] | list[list[LabelScore]]


def read_inputs(inputs: object, kind: Kind) -> list[Row]:
    """The rows of `inputs`: a text, a dict of "text" and, for pairs, "text_pair", or a batch of these or of rows.

    Raises InputError.
    """
    if isinstance(inputs, str | dict):
        return [_check_item(inputs, kind, "the input", None)]
    return check_batch(inputs, kind, _check_item)


def check_top_k(top_k: object) -> int | None:
    """How many labels to give, None for all. Raises InputError for what is neither "", None nor a positive int."""
    if top_k is None or (isinstance(top_k, str) and top_k == ""):
        return None
    if not isinstance(top_k, int) or isinstance(top_k, bool) or top_k < 1:
        raise InputError(f"top_k is {describe(top_k)}, expected an integer of at least 1, or None for all labels")
    return top_k


def nest(inputs: object, labels: tuple[str, ...], scores: list[list[float]], top_k: object) -> PipelineAnswer:
    """`scores` [n, labels] of the n rows of `inputs` as dicts of label and score, nested as in the table above."""
    ranked = [_ranked(labels, row) for row in scores]
    if isinstance(top_k, str):
        best = [row[0] for row in ranked]
        return best[0] if isinstance(inputs, dict) else best
    limit = check_top_k(top_k)
    cut = [row[:limit] for row in ranked]
    return cut[0] if isinstance(inputs, str | dict) else cut


def _ranked(labels: tuple[str, ...], scores: list[float]) -> list[LabelScore]:
    """Best first; equal scores stay in the labels' order."""
    named = [{"label": label, "score": score} for label, score in zip(labels, scores, strict=True)]
    return sorted(named, key=lambda entry: entry["score"], reverse=True)


def _check_item(item: object, kind: Kind, where: str, index: int | None) -> Row:
    """One input as a row; a dict is unpacked, anything else must be a row itself."""
    if not isinstance(item, dict):
        return check_row(item, kind, where, index)
    text, text_pair = item.get("text"), item.get("text_pair")
    unknown = set(item) - {"text", "text_pair"}
    if unknown or "text" not in item or (kind == "pair") != (text_pair is not None):
        found = ", ".join(key if isinstance(key, str) else describe(key) for key in item)
        expected = "text and text_pair" if kind == "pair" else "text alone"
        raise InputError(f"{where}: found a dict of {found or 'nothing'}, expected {expected}", row=index)
    return check_row(text if kind == "text" else (text, text_pair), kind, where, index)
