"""Rows for the examples that use transformers.js, and Python's answers to them."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

import assay
from assay.bundle import golden
from assay.bundle.folder import open_bundle
from tests.conftest import held_out

__all__ = ["ROWS", "Expected", "expect", "measure"]

Row = tuple[str, str | None]


def read_rows(kind: str) -> list[Row]:
    """Return the texts of the first held-out rows."""
    return [(row["text"], row.get("text_pair")) for row in held_out(kind)[:12]]


ROWS: dict[str, list[Row]] = {
    "pair-classifier": [
        *read_rows("pairs"),
        ("", ""),
        ("Is 😀 Ünïcödé ﬁne?", "日本語 ½ e\u0301"),
        ("don't\ttab\nline", "  [SEP] inside  "),
    ],
    "complexity": [
        *read_rows("instructions"),
        ("", None),
        ("Is 😀 Ünïcödé ﬁne? 日本語 ½ e\u0301", None),
        ("  a[SEP]b\ttab\nline", None),
    ],
}
"""By bundle: the texts of each row. The second is None for a bundle of texts."""


@dataclass(frozen=True)
class Expected:
    """Python's fp32 answers of a bundle to its ROWS, and how far each variant's logits may be from them."""

    logits: list[list[float]]
    scores: list[list[float]]
    tolerances: dict[str, float]


@cache
def expect(folder: Path) -> Expected:
    """Answer the rows of the bundle in `folder`. The tolerances are those of `assay verify`."""
    model = assay.load(folder, variant="fp32")
    rows = [text if pair is None else (text, pair) for text, pair in ROWS[folder.name]]
    logits = model.logits(rows)
    scores = logits.tolist()
    if isinstance(model, assay.Classifier):
        scores = [list(prediction.scores.values()) for prediction in model.predictions(logits)]
    bundle = open_bundle(folder)
    tolerances = {
        variant: golden.compute_tolerance(next(iter(graphs.values())), golden.read(bundle))
        for variant, graphs in bundle.manifest.variants.items()
    }
    return Expected(logits.tolist(), scores, tolerances)


def measure(found: list[list[float]], expected: Expected, what: str) -> float:
    """Return the max |delta logit| of `found` [rows, labels] to Python's fp32 logits, and print it with `what`."""
    delta = float(np.abs(np.array(found) - np.array(expected.logits)).max())
    print(f"{what}: max |delta logit| {delta:.1e} over {len(found)} rows")
    return delta
