"""Rows for the examples that use transformers.js, and Python's answers to them."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

import assay
from assay.bundle import golden
from assay.bundle.folder import open_bundle
from tests.conftest import held_out

__all__ = ["LIMITS", "ROWS", "Expected", "compute_tolerance", "expect", "measure"]

Row = tuple[str, str | None]

PAIRS: list[Row] = [(row["text"], row["text_pair"]) for row in held_out("pairs")[:12]]
TEXTS: list[Row] = [(row["text"], None) for row in held_out("instructions")[:12]]
ROWS = {
    "pair-classifier": [
        *PAIRS,
        ("", ""),
        ("Is 😀 Ünïcödé ﬁne?", "日本語 ½ e\u0301"),
        ("don't\ttab\nline", "  [SEP] inside  "),
    ],
    "complexity": [*TEXTS, ("", None), ("Is 😀 Ünïcödé ﬁne? 日本語 ½ e\u0301", None), ("  a[SEP]b\ttab\nline", None)],
}
"""By bundle: the texts of each row. The second is None for a bundle of texts."""


LIMITS = {"fp32": 1e-4, "fp16": 5e-3, "int8_ort": golden.INT8_TOLERANCE, "int8_qdq": golden.INT8_TOLERANCE}
"""The max |delta logit| to Python's answers of the same graph. An activation between two roundings goes the other way
if its last bit differs, and the int8 tolerance is that of `assay verify` for exactly this."""


@dataclass(frozen=True)
class Expected:
    """Python's answers of one variant of a bundle to its ROWS, each [rows, labels]."""

    logits: list[list[float]]
    scores: list[list[float]]


@cache
def expect(folder: Path, variant: str) -> Expected:
    """Answer the rows of the bundle in `folder`."""
    model = assay.load(folder, variant=variant)
    rows = [text if pair is None else (text, pair) for text, pair in ROWS[folder.name]]
    logits = model.logits(rows)
    scores = logits.tolist()
    if isinstance(model, assay.Classifier):
        scores = [list(prediction.scores.values()) for prediction in model.predictions(logits)]
    return Expected(logits.tolist(), scores)


def measure(found: list[list[float]], expected: Expected, what: str) -> float:
    """Return the max |delta logit| of `found` [rows, labels] to Python's, and print it with `what`."""
    delta = float(np.abs(np.array(found) - np.array(expected.logits)).max())
    print(f"{what}: max |delta logit| {delta:.1e} over {len(found)} rows")
    return delta


def compute_tolerance(folder: Path, variant: str) -> float:
    """Return the max |delta logit| to fp32 that `assay verify` allows."""
    bundle = open_bundle(folder)
    (graph,) = bundle.manifest.variants[variant].values()
    return golden.compute_tolerance(graph, golden.read(bundle))
