"""Inferred shapes are those of the tensors that ONNX Runtime computes."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from assay_export.checkpoint.configs.config_dialects import to_transformers_4
from assay_export.graphs.writer import Dialect
from assay_export.tensorrt import static_shapes
from tests.export import tiny

CONFIGS = {
    "DeBERTa": tiny.deberta_config(),
    "ModernBERT": tiny.modernbert_config(),
    "BERT": tiny.bert_config(max_position_embeddings=50),
    "RoBERTa": tiny.bert_config("roberta", max_position_embeddings=50),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize(("batch", "length"), [(1, 1), (2, 7), (3, 41)])
def test_inferred_shapes_are_those_of_the_computed_tensors(
    config: dict[str, Any], batch: int, length: int, tmp_path: Path
) -> None:
    path = tiny.author(tiny.model(config), to_transformers_4(config), tmp_path)[Dialect.PORTABLE]
    found = static_shapes.infer_shapes(
        onnx.load(path, load_external_data=False), {"batch": batch, "sequence": length, "unused": 5}
    )
    model = onnx.load(path)
    names = [name for node in model.graph.node for name in node.output]
    del model.graph.output[:]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    ids = tiny.token_ids(batch, length)
    arrays = session.run(names, {"input_ids": ids, "attention_mask": np.ones_like(ids)})
    assert {name: found[name] for name in names} == {
        name: array.shape for name, array in zip(names, arrays, strict=True)
    }


def parse_graph(body: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(
        f'<ir_version: 10, opset_import: ["": 20]> g (float[batch, 8] x) => (float[a, b] y) {{ {body} }}'
    )


def test_a_shape_that_depends_on_a_value_is_an_error_that_names_the_node() -> None:
    model = parse_graph("mask = Cast <to = 9> (x) found = NonZero (mask) f = Cast <to = 1> (found) y = Identity (f)")
    with pytest.raises(static_shapes.UnknownShapeError) as caught:
        static_shapes.infer_shapes(model, {"batch": 2})
    assert caught.value.node.op_type == "NonZero"


def test_inputs_whose_shapes_do_not_match_are_an_error_that_names_the_node() -> None:
    model = parse_graph("y = MatMul (x, x)")
    with pytest.raises(static_shapes.UnknownShapeError) as caught:
        static_shapes.infer_shapes(model, {"batch": 2})
    assert caught.value.node.op_type == "MatMul"


def test_the_values_of_positions_that_are_computed_from_a_length_are_known() -> None:
    model = parse_graph(
        "zero = Constant <value_int = 0> () one = Constant <value_int = 1> () "
        "n = Shape <start = 0, end = 1> (x) n0 = Squeeze (n) "
        "r = Range (zero, n0, one) last = ReduceMax <keepdims = 1> (r) "
        "eight = Constant <value_ints = [8]> () dims = Concat <axis = 0> (last, eight) "
        "f = ConstantOfShape (dims) y = Identity (f)"
    )
    assert static_shapes.infer_shapes(model, {"batch": 5})["y"] == (4, 8)
