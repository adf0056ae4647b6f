"""The operators that assay.gpu.placement counts as computing on data are those of the authored graphs' dataflow."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from assay.gpu import placement

CPU = "CPUExecutionProvider"
LENGTH = 32  # the shortest bucket, which a CUDA session is probed with


def count_data_operators(path: Path) -> int:
    """Count the operators that depend on the values of an input, not only on its shape."""
    graph = onnx.load(path, load_external_data=False).graph
    data = {value.name for value in graph.input}
    count = 0
    for node in graph.node:
        if node.op_type not in ("Shape", "Size") and data & set(node.input):
            data |= set(node.output)
            count += 1
    return count


@pytest.mark.parametrize("bundle_fixture", ["pair_bundle", "scorer_bundle"])
def test_operators_on_data_are_counted_and_operators_on_shapes_are_not(
    bundle_fixture: str, request: pytest.FixtureRequest
) -> None:
    path = request.getfixturevalue(bundle_fixture) / "onnx" / "model.onnx"
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    with placement.profile(options, placement.PROBE_ROWS) as finish:
        session = onnxruntime.InferenceSession(path, options, providers=[CPU])
        ids = np.full((placement.PROBE_ROWS, LENGTH), 7, np.int64)
        session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})
        found = finish(session)
    expected = count_data_operators(path)
    assert sum(found.on_cpu.values()) == expected
    assert 0 < found.nodes[CPU] - expected < expected
