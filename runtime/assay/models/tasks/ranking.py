"""Ranking: the relevance of documents for a query, in the shape of sentence-transformers' CrossEncoder.rank (5.7)."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

from assay.bundle.manifest import Manifest
from assay.errors import InputError
from assay.inputs.validation import check_batch, check_text, describe

__all__ = ["Ranked", "find_label", "order", "pair_documents", "require_pairs"]


class Ranked(TypedDict):
    """One document of a ranking: its index in `documents`, its score and, if asked for, its text."""

    corpus_id: int
    score: float
    text: NotRequired[str]


def require_pairs(manifest: Manifest, what: str) -> None:
    """Raise InputError where the bundle does not read pairs, which `what` (a method) asks for."""
    if manifest.input != "pair":
        raise InputError(f"{what} asks for pairs of texts, this bundle reads one text; use a bundle of pairs")


def find_label(label: object, manifest: Manifest, what: str) -> int:
    """Return the index of the label whose score is the relevance. A regression has one and needs no name.

    Raises:
        InputError: The bundle has several labels and none is given, or it lacks this one.
    """
    labels = manifest.labels
    if label is None and len(labels) == 1:
        return 0
    expected = f"expected one of {', '.join(labels)[:300]}"
    if label is None:
        raise InputError(f"{what}: label is missing, {expected}: the label whose probability is the score")
    if not isinstance(label, str) or label not in labels:
        found = repr(label)[:80] if isinstance(label, str) else describe(label)
        raise InputError(f"{what}: label is {found}, {expected}")
    return labels.index(label)


def pair_documents(query: object, documents: object) -> list[tuple[str, str]]:
    """Return the pairs of `query` with each of `documents`. Raises InputError, with the index of a wrong document."""
    checked = check_text(query, "query")
    return [(checked, str(document)) for document in check_batch(documents, "text")]


def order(
    scores: Sequence[float], pairs: Sequence[tuple[str, str]], top_k: int | None, return_documents: bool
) -> list[Ranked]:
    """Return the documents of `pairs`, best first, at most `top_k`. Equal scores keep the order of the documents."""
    best = sorted(range(len(scores)), key=lambda index: -scores[index])[:top_k]
    ranked = [Ranked(corpus_id=index, score=scores[index]) for index in best]
    if return_documents:
        for entry in ranked:
            entry["text"] = pairs[entry["corpus_id"]][1]
    return ranked
