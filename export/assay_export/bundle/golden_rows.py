"""The rows of golden.json: real text with PyTorch's float32 logits, for `assay verify` on another machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from assay.bundle import golden
from assay.bundle.golden import Golden, GoldenText
from assay.inputs.tokenization import Tokens
from assay.inputs.validation import Row
from assay_export.checkpoint.head import Head
from assay_export.checkpoint.loading import Checkpoint
from assay_export.checkpoint.presets import Input
from assay_export.checkpoint.reference import Feed
from assay_export.checkpoint.tokenizer import TokenizerFiles
from assay_export.errors import ParityError
from assay_export.graphs import cpu_session
from assay_export.graphs.kernels.packing import pack_feeds
from assay_export.texts import real_text
from assay_export.texts.calibration import read_calibration

__all__ = ["write_golden_rows"]

# In addition to whole rows: text cut to a length in every bucket that a GPU pads to, and to the longest of the parity
# gate.
_LENGTHS = (33, 64, 127, 256, 384, 512, 1031)
_CALIBRATION_ROWS = 16


def write_golden_rows(
    folder: Path,
    loaded: Checkpoint,
    tokens: TokenizerFiles,
    head: Head,
    variants: Mapping[str, Mapping[str, Mapping[str, Any]]],
    max_length: int,
) -> None:
    """Ask PyTorch and every graph, compare the logits, and write golden.json.

    Args:
        folder: The bundle, with its graphs.
        loaded: The checkpoint.
        tokens: Its tokenizer.
        head: What its logits mean.
        variants: The entries of all graphs, by variant and dialect, as the manifest lists them.
        max_length: The longest input in tokens.

    Raises:
        ParityError: A graph differs from PyTorch by more than its own gate allows.
    """
    graphs = [graph for dialects in variants.values() for graph in dialects.values()]
    names = {"input_ids", "attention_mask"}.union(*(graph["inputs"] for graph in graphs)) - {"row_starts"}
    texts = _list_texts(head.row, max_length)
    tokenizer = tokens.open_as_runtime(head.row)
    rows = tuple(row for text in texts for row in tokenizer.encode_to(text.row, [text.max_length]))
    feeds = [{name: array for name, array in _feed(row).items() if name in names} for row in rows]
    expected = np.concatenate([loaded.reference.logits(feed) for feed in feeds])
    exported = {}
    for graph in graphs:
        is_packed = "row_starts" in graph["inputs"]
        session = cpu_session.load(folder / graph["file"], graph["graph_optimization"], uses_kernels=is_packed)
        inputs = [cpu_session.select_inputs(session, pack_feeds([feed]) if is_packed else feed) for feed in feeds]
        logits = [session.run(["logits"], values)[0] for values in inputs]
        delta = np.abs(np.concatenate(logits).astype(np.float64) - expected)
        exported[graph["file"]] = float(delta.max())
        allowed = graph["parity"].get("threshold", float(np.finfo(np.float32).max))
        if not delta.max() <= allowed:
            row = int(delta.max(axis=1).argmax())
            raise ParityError(
                f"{graph['file']} differs from PyTorch by {delta.max():.2e} on a golden row of "
                f"{feeds[row]['input_ids'].size} tokens (the gate allows {allowed:.0e}); nothing was written. "
                "Please report this with the checkpoint's config.json"
            )
    if "token_type_ids" not in names:
        rows = tuple(Tokens(row.ids, np.zeros_like(row.ids)) for row in rows)
    (folder / golden.GOLDEN_NAME).write_bytes(golden.dump(Golden(rows, expected, exported, texts)))


def _feed(row: Tokens) -> Feed:
    ids, type_ids = row.ids[np.newaxis], row.type_ids[np.newaxis]
    return {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": type_ids}


def _list_texts(kind: Input, max_length: int) -> tuple[GoldenText, ...]:
    built_in = read_calibration(kind)[:_CALIBRATION_ROWS]
    texts = [GoldenText(_as_row(row), max_length) for row in (*real_text.rows(kind), *built_in)]
    text = "\n".join(real_text.TEXTS * (2 if kind == "pair" else 4))
    long: Row = (text, text) if kind == "pair" else text
    lengths = sorted({length for length in _LENGTHS if length <= max_length} | {min(max_length, _LENGTHS[-1])})
    return (*texts, *(GoldenText(long, length) for length in lengths))


def _as_row(texts: tuple[str, ...]) -> Row:
    return (texts[0], texts[1]) if len(texts) == 2 else texts[0]
