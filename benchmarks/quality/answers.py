"""Asks PyTorch and the variants of a bundle for their logits on the same rows, truncated in the same way.

PyTorch is the checkpoint as `assay export` reads it (transformers, an adapter merged in float32), in float32 on the
CPU. Its token ids come from the bundle's tokenizer, which the tests of the runtime compare with that of transformers,
so differences come from the graphs.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

import assay
from assay.bundle.folder import Bundle
from assay.errors import AssayError, InputError, NumericalError
from assay.inputs.tokenization import BundleTokenizer, Tokens
from assay.inputs.validation import Row
from assay.models.base import Float32
from assay.ort.batching import TOKENS_PER_CALL, group
from assay_export.checkpoint import loading
from assay_export.checkpoint.files import open_files
from assay_export.checkpoint.reference import Feed
from assay_export.checkpoint.source import Source
from assay_export.texts import real_text

__all__ = ["Answers", "ask", "ask_torch", "ask_variant", "find_truncated"]

ROWS_PER_CHUNK = 256


@dataclass(frozen=True)
class Answers:
    """What one implementation answered: logits [rows, labels], or the reason for having none."""

    name: str
    logits: Float32 | None
    failure: str | None = None


def find_truncated(bundle: Bundle, rows: Sequence[Row]) -> list[int]:
    """Find the rows that have more tokens than the model reads, and return their indices."""
    whole = _make_tokenizer(bundle, sys.maxsize)
    long = []
    for start, chunk in _chunks(rows):
        lengths = [len(row.ids) for row in whole.encode(chunk, False, start)]
        long += [start + index for index, length in enumerate(lengths) if length > bundle.manifest.max_length]
    return long


def ask_torch(
    source: Source, base: str | None, bundle: Bundle, rows: Sequence[Row], advance: Callable[[], None]
) -> Float32:
    """Ask PyTorch.

    Args:
        source: The checkpoint.
        base: The base model of an adapter.
        bundle: The bundle, for its tokenizer.
        rows: The rows.
        advance: Is called after each row.

    Returns:
        Logits, float32 [rows, labels].

    Raises:
        CheckpointError: The checkpoint cannot be loaded.
        InputError: The bundle was exported from another checkpoint.
        NumericalError: An answer is NaN or infinite; `row` is its index.
    """
    tokenizer = _make_tokenizer(bundle, bundle.manifest.max_length)
    names = {"attention_mask"}.union(*(choice.graph.inputs for choice in bundle.list_choices()))
    texts: list[Row] = list(real_text.TEXTS)
    if bundle.manifest.input == "pair":
        texts = [(text, text) for text in real_text.TEXTS]
    probes = [_make_feed([row], names) for row in tokenizer.encode(texts, True, 0)]
    loaded = loading.load(open_files(source.folder, base=base), probes)
    recorded = bundle.manifest.source.get("weights_sha256")
    if loaded.weights_sha256 != recorded:
        raise InputError(
            f"{source.id}: its weights have the SHA-256 {loaded.weights_sha256[:12]}..., but {bundle.folder} was "
            f"exported from {str(recorded)[:12]}...: pass the checkpoint that the bundle was exported from"
        )
    logits = np.empty((len(rows), len(bundle.manifest.labels)), np.float32)
    for start, chunk in _chunks(rows):
        tokens = tokenizer.encode(chunk, True, start)
        for indices in group([len(row.ids) for row in tokens], TOKENS_PER_CALL):
            together = _make_feed([tokens[index] for index in indices], names)
            logits[start + np.array(indices)] = loaded.reference.logits(together)
            for _ in indices:
                advance()
    finite = np.isfinite(logits).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise NumericalError(
            f"PyTorch itself answers {logits[row].tolist()}: the weights of the checkpoint are damaged", row=row
        )
    return logits


def ask_variant(bundle: Bundle, variant: str, device: str, rows: Sequence[Row], advance: Callable[[], None]) -> Float32:
    """Ask a variant of the bundle.

    Returns:
        Logits, float32 [rows, labels].

    Raises:
        AssayError: The variant cannot be loaded, or cannot answer.
    """
    with assay.load(bundle.folder, device=device, variant=variant) as model:
        logits = np.empty((len(rows), len(model.labels)), np.float32)
        for start, chunk in _chunks(rows):
            try:
                logits[start : start + len(chunk)] = model.logits(chunk, truncate=True)
            except NumericalError as error:
                row = None if error.row is None else start + error.row
                raise NumericalError(str(error), row=row) from error
            for _ in chunk:
                advance()
    return logits


def ask(name: str, call: Callable[[], Float32], lines: Sequence[int]) -> Answers:
    """Call one implementation and keep its logits, or its error with the line of the row at fault."""
    try:
        return Answers(name, call())
    except AssayError as error:
        row = error.row if isinstance(error, NumericalError | InputError) else None
        where = "" if row is None else f"line {lines[row]}: "
        return Answers(name, None, where + " ".join(str(error).split()))


def _make_tokenizer(bundle: Bundle, max_length: int) -> BundleTokenizer:
    manifest = bundle.manifest
    data = bundle.read_tokenizer(verify=True)
    return BundleTokenizer(data, manifest.input, max_length, manifest.truncation, manifest.split_special_tokens)


def _chunks(rows: Sequence[Row]) -> Iterator[tuple[int, Sequence[Row]]]:
    for start in range(0, len(rows), ROWS_PER_CHUNK):
        yield start, rows[start : start + ROWS_PER_CHUNK]


def _make_feed(tokens: Sequence[Tokens], names: set[str]) -> Feed:
    """Rows of one length as a batch, int64 [rows, sequence] each."""
    ids = np.stack([row.ids for row in tokens])
    type_ids = np.stack([row.type_ids for row in tokens])
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": type_ids}
    return {name: feed[name] for name in feed if name in names}
