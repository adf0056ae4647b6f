"""The fp16 graph: which of its values are float16, and that it answers like PyTorch."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from assay_export.graphs.writer import Array
from assay_export.variants.fp16.graph import HALF_MAX, Fp16
from tests.export import tiny
from tests.export.variants.fp16 import half

CONFIGS = {
    "deberta": half.DEBERTA,
    "deberta without relative terms": tiny.deberta_config(pos_att_type=[], num_hidden_layers=2),
    "deberta with absolute positions": tiny.deberta_config(position_biased_input=True),
    "deberta with a convolution": tiny.deberta_config(conv_kernel_size=3, conv_act="gelu"),
    "modernbert": half.MODERNBERT,
    "bert": tiny.bert_config(),
    "roberta": tiny.bert_config("roberta"),
    "distilbert": tiny.distilbert_config(),
    "electra": tiny.bert_config("electra"),
    "modernbert, cls pooling, every bias": half.MODERNBERT
    | {
        "classifier_pooling": "cls",
        "norm_bias": True,
        "attention_bias": True,
        "mlp_bias": True,
        "classifier_bias": True,
    },
}
FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16


@pytest.fixture(scope="module", params=CONFIGS, ids=str)
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    return CONFIGS[request.param]


@pytest.fixture(scope="module")
def module(config: dict[str, Any]) -> Any:
    return tiny.model(config)


@pytest.fixture(scope="module")
def written(config: dict[str, Any], module: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Fp16]:
    path = tmp_path_factory.mktemp("fp16") / "model_fp16.onnx"
    return path, half.author(module, config, path)


def test_inputs_are_int64_and_logits_float32(written: tuple[Path, Fp16]) -> None:
    graph = onnx.load(written[0], load_external_data=False).graph
    inputs = {value.name: value.type.tensor_type.elem_type for value in graph.input}
    assert inputs == dict.fromkeys(("input_ids", "attention_mask"), TensorProto.INT64)
    assert [(value.name, value.type.tensor_type.elem_type) for value in graph.output] == [("logits", FLOAT)]


def test_norms_softmax_masks_residual_sums_and_the_head_are_float32_and_all_other_products_float16(
    written: tuple[Path, Fp16],
) -> None:
    graph, types = onnx.load(written[0]).graph, half.read_types(written[0])
    products = 0
    for node in graph.node:
        kinds = {types[name] for name in node.input if types[name] in (FLOAT, HALF)}
        if node.op_type in ("LayerNormalization", "Softmax", "ReduceSum", "ReduceMean", "Div", "Where"):
            assert kinds <= {FLOAT}, node.name
        if node.op_type in ("MatMul", "Gelu"):
            assert kinds == ({FLOAT} if node.name.startswith("head") else {HALF}), node.name
            products += kinds == {HALF}
    assert products > 8


def test_a_layer_has_six_casts(config: dict[str, Any], written: tuple[Path, Fp16]) -> None:
    """Query, key and value down; scores up; probabilities down; projection up; feed-forward down and up."""
    first = "layers.1/" if config["model_type"] == "modernbert" else "layer.0/"
    nodes = [node for node in onnx.load(written[0], load_external_data=False).graph.node if node.op_type == "Cast"]
    casts = [node.name for node in nodes if node.name.replace(".Cast", "/Cast").startswith(first)]
    assert len(casts) == 6, [node.name for node in nodes]


def test_the_mask_is_within_the_range_of_float16(written: tuple[Path, Fp16]) -> None:
    weights = [onnx.numpy_helper.to_array(weight) for weight in onnx.load(written[0]).graph.initializer]
    floats = [weight for weight in weights if weight.dtype in (np.float16, np.float32)]
    assert max(float(np.abs(weight).max()) for weight in floats) == HALF_MAX


@pytest.mark.parametrize("mask", [None, tiny.right_padding(33), tiny.holes(33)], ids=["whole", "padded", "holes"])
def test_the_reference_evaluator_which_stores_float16_answers_like_pytorch(
    module: Any, written: tuple[Path, Fp16], mask: Array | None
) -> None:
    ids = tiny.token_ids(3, 33)
    answer = half.run_reference(written[0], half.make_feed(ids, mask))
    assert answer.dtype == np.float32
    assert np.abs(answer - tiny.logits(module, ids, mask)).max() <= 2e-2


@pytest.mark.parametrize("length", [1, 2, 40])
def test_the_cpu_provider_answers_like_pytorch_at_every_length(
    module: Any, written: tuple[Path, Fp16], length: int
) -> None:
    ids = tiny.token_ids(2, length)
    answer = tiny.session(written[0]).run(["logits"], half.make_feed(ids))[0]
    assert np.abs(answer - tiny.logits(module, ids)).max() <= 2e-2


def test_any_single_group_and_all_groups_together_may_stay_in_float32(
    config: dict[str, Any], module: Any, written: tuple[Path, Fp16], tmp_path: Path
) -> None:
    groups, ids = list(written[1].is_float16), tiny.token_ids(2, 20)
    expected = tiny.logits(module, ids)
    for number, float32 in enumerate([*([group] for group in groups), groups]):
        path = tmp_path / f"{number}.onnx"
        precision = half.author(module, config, path, float32)
        assert not any(precision.is_float16[group] for group in float32)
        answer = tiny.session(path).run(["logits"], half.make_feed(ids))[0]
        assert np.abs(answer - expected).max() <= (2e-2 if len(float32) == 1 else 1e-3), float32
    assert HALF not in {kind for name, kind in half.read_types(path).items() if name.endswith(".weight")}


def test_weights_too_large_for_float16_stay_in_float32(config: dict[str, Any], module: Any, tmp_path: Path) -> None:
    name = next(name for name in module.state_dict() if "embeddings" in name and name.endswith("weight"))
    weight = module.state_dict()[name]
    exact = weight.clone()
    try:
        weight *= 1e6  # the norm after it cancels the factor
        precision = half.author(module, config, tmp_path / "model.onnx")
        assert not precision.is_float16["embeddings.word"]
        assert precision.weight_peaks["embeddings.word"] > 1e5
        ids = tiny.token_ids(2, 9)
        answer = tiny.session(tmp_path / "model.onnx").run(["logits"], half.make_feed(ids))[0]
        assert np.abs(answer - tiny.logits(module, ids)).max() <= 2e-2
    finally:
        weight.copy_(exact)
