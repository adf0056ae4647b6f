"""Portable graphs have the same answers in engines that share no code with ONNX Runtime.

The engines are OpenVINO and onnx's reference implementation. If three implementations of the operators agree, the graph
does not depend on the peculiarities of one of them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from assay_export.checkpoint.configs.config_dialects import to_transformers_4
from assay_export.graphs.writer import Array, Dialect
from tests.export import tiny

Feed = dict[str, Array]
Run = Callable[[Feed], Array]

# Batch and length. Logarithmic buckets start at distance 16 in the demo classifier and at 128 in "as published". The
# windows of the ModernBERT graphs extend 4, 8 and 64 tokens to either side.
SHAPES = ((1, 1), (1, 2), (2, 7), (1, 33), (3, 150), (1, 301))

# Tiny models, some of them with the distances and windows of the published models.
TINY: dict[str, dict[str, Any]] = {
    "DeBERTa": tiny.deberta_config(),
    "DeBERTa, distances as published": tiny.deberta_config(position_buckets=256, max_position_embeddings=512),
    "DeBERTa, a convolution": tiny.deberta_config(conv_kernel_size=3, conv_groups=2),
    "ModernBERT": tiny.modernbert_config(max_position_embeddings=400),
    "ModernBERT, window as published": tiny.modernbert_config(max_position_embeddings=400, local_attention=128),
    "BERT": tiny.bert_config(max_position_embeddings=400),
    "RoBERTa": tiny.bert_config("roberta", max_position_embeddings=404),
    "DistilBERT": tiny.distilbert_config(max_position_embeddings=400),
    "ELECTRA": tiny.bert_config("electra", max_position_embeddings=400),
    "ModernBERT, first token": tiny.modernbert_config(max_position_embeddings=400, classifier_pooling="cls"),
}


def load_onnxruntime(path: Path) -> Run:
    session = tiny.session(path)
    return lambda feed: session.run(["logits"], feed)[0]


def load_reference(path: Path) -> Run:
    """Load the graph in onnx's own implementation of the operators, in numpy."""
    evaluator = ReferenceEvaluator(onnx.load(path))
    return lambda feed: np.asarray(next(iter(evaluator.run(["logits"], feed))))


def load_openvino(path: Path) -> Run:
    openvino = pytest.importorskip("openvino", reason="OpenVINO is in the extra bench, not in dev")
    # On processors with bfloat16, OpenVINO computes in bfloat16 by default.
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


@pytest.mark.parametrize("load_engine", [load_reference, load_openvino])
def test_another_engine_has_the_logits_of_onnx_runtime(graph: Path, load_engine: Callable[[Path], Run]) -> None:
    run_onnxruntime, run_other = load_onnxruntime(graph), load_engine(graph)
    deltas = {}
    for batch, length in SHAPES:
        mask = np.ones((batch, length), np.int64)
        for row in range(1, batch):
            mask[row, max(1, length * (batch - row) // batch) :] = 0
        feed = {"input_ids": tiny.token_ids(batch, length), "attention_mask": mask}
        answer, expected = run_other(feed), run_onnxruntime(feed)
        assert answer.dtype == np.float32
        assert answer.shape == expected.shape
        deltas[batch, length] = float(np.abs(answer - expected).max())
    assert max(deltas.values()) <= tiny.ROUNDING, deltas
