"""Attention in chunks of queries returns the same answers as whole attention."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from assay_export.checkpoint.configs.config_dialects import to_transformers_4
from assay_export.gates.parity import Case
from assay_export.graphs import cpu_session
from assay_export.variants.fp16 import chunked_attention, emulation, gate, overflow
from assay_export.variants.fp16.gate import Texts
from assay_export.variants.fp16.graph import LARGEST
from tests.export import tiny
from tests.export.variants.fp16 import half

CLS = to_transformers_4(tiny.modernbert_config(classifier_pooling="cls"))
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
@pytest.mark.parametrize("chunks", [2, 4, 8])  # of 30 queries: the last chunk can be smaller
@pytest.mark.parametrize(
    ("config", "single"), [(half.MODERNBERT, 0), (CLS, 1), (half.DEBERTA, 1)], ids=["modernbert", "cls", "deberta"]
)
def test_chunks_of_queries_answer_like_all_queries_together(
    config: dict[str, Any], single: int, chunks: int, rounded: bool, tolerance: float, tmp_path: Path
) -> None:
    whole = write_emulated(tmp_path, config, 1, rounded=rounded)
    parts = write_emulated(tmp_path, config, chunks, rounded=rounded)
    # The last layer before a head that reads the first token has a single query, which is not split.
    assert count_softmaxes(parts) == chunks * (count_softmaxes(whole) - single) + single
    assert np.allclose(half.run_reference(parts, FEED), half.run_reference(whole, FEED), atol=tolerance)
    one, other = (cpu_session.load(path, "basic").run(["logits"], FEED)[0] for path in (whole, parts))
    assert np.allclose(one, other, atol=tolerance)


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


def write_long(folder: Path, pooling: str, layers: int) -> tuple[Any, Path]:
    """Write a model that reads 8,192 tokens; with "cls", its last layer has a single query."""
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 1, "max_position_embeddings": 8192}
    config = to_transformers_4(tiny.modernbert_config(classifier_pooling=pooling, num_hidden_layers=layers, **sizes))
    module = tiny.model(config)
    half.author(module, config, folder / "model_fp16.onnx")
    return module, folder / "model_fp16.onnx"


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_model_of_8192_positions_passes_the_audit_and_the_gate_with_either_pooling(
    pooling: str, tmp_path: Path
) -> None:
    module, path = write_long(tmp_path, pooling, 3)
    feeds = [half.make_feed(tiny.token_ids(1, length)) for length in (9, 2048)]
    assert 0 < max(overflow.measure_peaks(path, feeds[1:]).values()) < LARGEST
    cases = [Case(f"{feed['input_ids'].size} tokens", feed, tiny.logits(module, feed["input_ids"])) for feed in feeds]
    report = gate.check(path, path.name, [], Texts(cases, [("a",), ("b",)]), 1, "identity")
    assert [entry["shape"] for entry in report["shapes"]] == ["9 tokens", "2048 tokens"]


@pytest.mark.parametrize(("pooling", "layers"), [("cls", 2), ("mean", 1)])
def test_a_text_of_8192_tokens_has_pytorchs_answer_with_either_pooling(
    pooling: str, layers: int, tmp_path: Path
) -> None:
    module, path = write_long(tmp_path, pooling, layers)
    feed = half.make_feed(tiny.token_ids(1, 8192))
    emulated = tmp_path / "emulated.onnx"
    emulation.write(path, emulated, rounded=True, attention_chunks=chunked_attention.count_chunks(feed))
    (answer,) = cpu_session.load(emulated, "basic", keep_memory=False).run(["logits"], feed)
    assert np.abs(answer - tiny.logits(module, feed["input_ids"])).max() < gate.MAX_DELTA
