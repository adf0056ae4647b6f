"""The emulated graph shows float16's rounding and overflow, which the CPU provider hides."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import TensorProto, helper

from assay_export.graphs.writer import Array
from assay_export.variants.fp16 import emulation
from tests.export import tiny
from tests.export.variants.fp16 import half


def write_chain(path: Path, factor: float) -> Path:
    """Write a graph: x float32 [4], cast to float16, times `factor`, divided by `factor`, cast to float32 "logits"."""
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["x"], ["half"], to=TensorProto.FLOAT16),
            helper.make_node("Mul", ["half", "factor"], ["large"]),
            helper.make_node("Div", ["large", "factor"], ["back"]),
            helper.make_node("Cast", ["back"], ["logits"], to=TensorProto.FLOAT),
        ],
        "chain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [4])],
        [helper.make_tensor("factor", TensorProto.FLOAT16, [], np.array([factor], np.float16))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    return path


def run(path: Path, x: Array, outputs: list[str] | None = None) -> list[Array]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return list(session.run(outputs or ["logits"], {"x": x}))


X = np.array([3.0, -100.0, 0.1, 1 / 3], np.float32)


def test_the_emulated_graph_overflows_like_float16_where_the_cpu_provider_does_not(tmp_path: Path) -> None:
    path = write_chain(tmp_path / "chain.onnx", 1000.0)  # -100 * 1000 is beyond 65504
    assert np.isfinite(run(path, X)[0]).all()
    emulation.write(path, tmp_path / "rounded.onnx", rounded=True)
    assert np.isinf(run(tmp_path / "rounded.onnx", X)[0]).tolist() == [False, True, False, False]


def test_the_emulated_graph_rounds_after_every_operator_as_numpy_does_in_float16(tmp_path: Path) -> None:
    path = write_chain(tmp_path / "chain.onnx", 7.0)
    emulation.write(path, tmp_path / "rounded.onnx", rounded=True)
    seven = np.float16(7)
    expected = ((X.astype(np.float16) * seven) / seven).astype(np.float32)
    assert (run(tmp_path / "rounded.onnx", X)[0] == expected).all()
    assert (run(tmp_path / "rounded.onnx", X)[0] != X).any()


def test_without_rounding_the_extremes_of_each_value_are_returned_exactly(tmp_path: Path) -> None:
    path = write_chain(tmp_path / "chain.onnx", 1000.0)
    names = emulation.write(path, tmp_path / "peaks.onnx", rounded=False, peaks=True)
    assert names == {name: name for name in ("half", "large", "back")}
    outputs = [emulation.name_peak_output(name, end) for name in names for end in ("ReduceMax", "ReduceMin")]
    logits, *ends = run(tmp_path / "peaks.onnx", X, ["logits", *outputs])
    assert (logits == X).all()
    assert np.array(ends).reshape(3, 2).tolist() == [[3, -100], [3000, -100_000], [3, -100]]


@pytest.mark.parametrize("config", [half.DEBERTA, half.MODERNBERT], ids=["deberta", "modernbert"])
def test_the_emulated_graph_answers_like_an_engine_that_stores_float16(config: dict[str, Any], tmp_path: Path) -> None:
    module, path = tiny.model(config), tmp_path / "model.onnx"
    half.author(module, config, path)
    names = emulation.write(path, tmp_path / "rounded.onnx", rounded=True)
    assert len(names) > 20
    inputs = half.make_feed(tiny.token_ids(3, 33), tiny.right_padding(33))
    rounded = tiny.session(tmp_path / "rounded.onnx").run(["logits"], inputs)[0]
    exact = tiny.session(path).run(["logits"], inputs)[0]
    stored = half.run_reference(path, inputs)
    assert np.abs(rounded - stored).max() < 5e-3
    assert np.abs(rounded - exact).max() > 0


def test_the_emulated_graph_uses_the_weight_file_of_the_original(tmp_path: Path) -> None:
    config = half.DEBERTA
    half.author(tiny.model(config), config, tmp_path / "model.onnx")
    emulation.write(tmp_path / "model.onnx", tmp_path / "emulated.onnx", rounded=True)
    weights = ir.load(tmp_path / "emulated.onnx").graph.initializers.values()
    files = {value.const_value.location for value in weights if isinstance(value.const_value, ir.ExternalTensor)}
    assert files == {"model.onnx_data"}
