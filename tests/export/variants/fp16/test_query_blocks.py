"""Attention in blocks of queries answers as the whole does."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from assay_export.variants.fp16 import audit, float32_twin, query_blocks
from tests.export import tiny
from tests.export.variants.fp16 import half

FEED = half.feed(tiny.token_ids(2, 30), np.array([[1] * 30, [1] * 19 + [0] * 11]))


def twin(folder: Path, config: dict[str, Any], blocks: int, *, rounded: bool = False) -> Path:
    half.author(tiny.model(config), config, folder / "model_fp16.onnx")
    target = folder / f"twin-{blocks}.onnx"
    float32_twin.write(folder / "model_fp16.onnx", target, rounded=rounded, attention_blocks=blocks)
    return target


def softmaxes(path: Path) -> int:
    return sum(node.op_type == "Softmax" for node in onnx.load(path).graph.node)


# Other blocks add in another order: rounding to float16 makes of the last bit of a float32 one of a float16.
@pytest.mark.parametrize(("rounded", "tolerance"), [(False, 1e-5), (True, 1e-2)])
@pytest.mark.parametrize("blocks", [2, 4, 7])  # 30 queries: the last block is a smaller one
@pytest.mark.parametrize("config", [half.MODERNBERT, half.DEBERTA], ids=["modernbert", "deberta"])
def test_blocks_of_queries_answer_as_all_of_them_do(
    config: dict[str, Any], blocks: int, rounded: bool, tolerance: float, tmp_path: Path
) -> None:
    whole = twin(tmp_path, config, 1, rounded=rounded)
    parts = twin(tmp_path, config, blocks, rounded=rounded)
    assert softmaxes(parts) == blocks * softmaxes(whole)
    assert np.allclose(half.reference_logits(parts, FEED), half.reference_logits(whole, FEED), atol=tolerance)


def test_short_texts_have_one_block_and_long_ones_as_many_as_bound_their_scores() -> None:
    counts = {length: query_blocks.count(half.feed(tiny.token_ids(1, length))) for length in (1, 512, 2047, 2048, 8192)}
    assert counts == {1: 1, 512: 1, 2047: 1, 2048: 2, 8192: 8}


def test_the_audit_of_a_long_text_finds_the_same_values_in_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model_fp16.onnx"
    half.author(tiny.model(half.MODERNBERT), half.MODERNBERT, path)
    whole = audit.run(path, [FEED])
    monkeypatch.setattr(query_blocks, "QUERIES", 8)
    parts = audit.run(path, [FEED])
    assert list(parts) == list(whole)
    assert np.allclose(list(parts.values()), list(whole.values()), rtol=1e-4)
