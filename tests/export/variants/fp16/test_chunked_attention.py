"""Attention in chunks of queries returns the same answers as whole attention."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from assay_export.variants.fp16 import chunked_attention, emulation, overflow
from tests.export import tiny
from tests.export.variants.fp16 import half

FEED = half.make_feed(tiny.token_ids(2, 30), np.array([[1] * 30, [1] * 19 + [0] * 11]))


def write_emulated(folder: Path, config: dict[str, Any], chunks: int, *, rounded: bool = False) -> Path:
    half.author(tiny.model(config), config, folder / "model_fp16.onnx")
    target = folder / f"emulated-{chunks}.onnx"
    emulation.write(folder / "model_fp16.onnx", target, rounded=rounded, attention_chunks=chunks)
    return target


def count_softmaxes(path: Path) -> int:
    return sum(node.op_type == "Softmax" for node in onnx.load(path).graph.node)


# Chunks add up in a different order. A difference in the last bit of a float32 can become one in the last bit of a
# float16.
@pytest.mark.parametrize(("rounded", "tolerance"), [(False, 1e-5), (True, 1e-2)])
@pytest.mark.parametrize("chunks", [2, 4, 7])  # of 30 queries: the last chunk can be smaller
@pytest.mark.parametrize("config", [half.MODERNBERT, half.DEBERTA], ids=["modernbert", "deberta"])
def test_chunks_of_queries_answer_like_all_queries_together(
    config: dict[str, Any], chunks: int, rounded: bool, tolerance: float, tmp_path: Path
) -> None:
    whole = write_emulated(tmp_path, config, 1, rounded=rounded)
    parts = write_emulated(tmp_path, config, chunks, rounded=rounded)
    assert count_softmaxes(parts) == chunks * count_softmaxes(whole)
    assert np.allclose(half.run_reference(parts, FEED), half.run_reference(whole, FEED), atol=tolerance)


def test_short_texts_have_one_chunk_and_long_texts_have_one_per_1024_tokens() -> None:
    counts = {
        length: chunked_attention.count_chunks(half.make_feed(tiny.token_ids(1, length)))
        for length in (1, 512, 2047, 2048, 8192)
    }
    assert counts == {1: 1, 512: 1, 2047: 1, 2048: 2, 8192: 8}


def test_the_peaks_of_a_long_text_are_the_same_in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model_fp16.onnx"
    half.author(tiny.model(half.MODERNBERT), half.MODERNBERT, path)
    whole = overflow.measure_peaks(path, [FEED])
    monkeypatch.setattr(chunked_attention, "QUERIES", 8)
    parts = overflow.measure_peaks(path, [FEED])
    assert list(parts) == list(whole)
    assert np.allclose(list(parts.values()), list(whole.values()), rtol=1e-4)
