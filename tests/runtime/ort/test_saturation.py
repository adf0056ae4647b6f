"""assay.ort.saturation: ONNX Runtime's int8 products, exact or not."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from assay.ort import installation, saturation


def test_the_probe_is_one_integer_product_of_the_largest_values() -> None:
    nodes = [
        helper.make_node(
            "ConstantOfShape", ["shape"], ["b"], value=helper.make_tensor("", TensorProto.INT8, [1], [127])
        ),
        helper.make_node("MatMulInteger", ["a", "b"], ["y"]),
    ]
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [64, 16])
    a = helper.make_tensor_value_info("a", TensorProto.UINT8, [1, 64])
    y = helper.make_tensor_value_info("y", TensorProto.INT32, [1, 16])
    graph = helper.make_graph(nodes, "saturation", [a], [y], [shape])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="assay")
    assert onnx.load_from_string(saturation.PROBE) == model


@pytest.mark.parametrize(("sums", "is_exact"), [(255 * 127 * 64, True), (32 * 32_767, False)])
def test_sums_that_saturate_are_a_problem_with_a_way_out(
    sums: int, is_exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = installation.onnxruntime()

    class Session:
        def __init__(self, *_: Any, **__: Any) -> None: ...

        def run(self, *_: Any) -> list[Any]:
            return [np.full((1, 16), sums, dtype=np.int32)]

    fake = SimpleNamespace(SessionOptions=real.SessionOptions, InferenceSession=Session)
    monkeypatch.setattr(installation, "onnxruntime", lambda: fake)
    saturation.find_problem.cache_clear()
    problem = saturation.find_problem()
    saturation.find_problem.cache_clear()
    if is_exact:
        assert problem is None
    else:
        assert problem is not None
        assert "saturate" in problem
        assert "variant='fp32'" in problem
