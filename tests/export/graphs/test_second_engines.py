"""Portable graphs in engines that share no code with ONNX Runtime: OpenVINO, and onnx's reference implementation.

Where three implementations of the operators' specification agree, the graph does not lean on a habit of one of them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from assay_export.checkpoint.config_dialects import to_transformers_4
from assay_export.graphs.writer import Dialect
from tests.export import tiny

Feed = dict[str, np.ndarray]
Run = Callable[[Feed], np.ndarray]

# Batch and length. Log buckets of distances start at 16 in the demo classifier and at 128 in "as published"; the
# windows of the ModernBERT graphs reach 4, 8 and 64 tokens to either side.
SHAPES = ((1, 1), (1, 2), (2, 7), (1, 33), (3, 150), (1, 301))

# The published models' distances and windows in tiny models; everything else as in tiny.py.
TINY: dict[str, dict[str, Any]] = {
    "DeBERTa": tiny.deberta_config(),
    "DeBERTa, distances as published": tiny.deberta_config(position_buckets=256, max_position_embeddings=512),
    "ModernBERT": tiny.modernbert_config(max_position_embeddings=400),
    "ModernBERT, window as published": tiny.modernbert_config(max_position_embeddings=400, local_attention=128),
    "ModernBERT, first token": tiny.modernbert_config(max_position_embeddings=400, classifier_pooling="cls"),
}


def onnxruntime_engine(path: Path) -> Run:
    session = tiny.session(path)
    return lambda feed: session.run(["logits"], feed)[0]


def reference_engine(path: Path) -> Run:
    """onnx's own implementation of every operator, in numpy."""
    evaluator = ReferenceEvaluator(onnx.load(path))
    return lambda feed: np.asarray(evaluator.run(["logits"], feed)[0])


def openvino_engine(path: Path) -> Run:
    openvino = pytest.importorskip("openvino", reason="OpenVINO comes with the extra bench, not with dev")
    # On processors with bfloat16, OpenVINO computes in it unless told not to.
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    compiled = openvino.Core().compile_model(path, "CPU", options)
    assert compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name() == "f32"
    return lambda feed: compiled(feed)["logits"]


@pytest.fixture(scope="module", params=[*TINY, "pair_bundle", "scorer_bundle"])
def graph(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A portable graph."""
    if request.param in TINY:
        config = TINY[request.param]
        folder = tmp_path_factory.mktemp("graph")
        return tiny.author(tiny.model(config), to_transformers_4(config), folder)[Dialect.PORTABLE]
    return request.getfixturevalue(request.param) / "onnx" / "model.onnx"


@pytest.mark.parametrize("engine", [reference_engine, openvino_engine])
def test_another_engine_gives_onnx_runtimes_logits(graph: Path, engine: Callable[[Path], Run]) -> None:
    expected, other = onnxruntime_engine(graph), engine(graph)
    deltas = {}
    for batch, length in SHAPES:
        mask = np.ones((batch, length), np.int64)
        for row in range(1, batch):
            mask[row, max(1, length * (batch - row) // batch) :] = 0
        feed = {"input_ids": tiny.token_ids(batch, length), "attention_mask": mask}
        answer = other(feed)
        assert answer.dtype == np.float32
        assert answer.shape == expected(feed).shape
        deltas[batch, length] = float(np.abs(answer - expected(feed)).max())
    assert max(deltas.values()) <= tiny.ROUNDING, deltas
