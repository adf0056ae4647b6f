import json
from pathlib import Path
from typing import Any

import numpy as np

from assay.bundle.manifest import Graph
from assay.gpu.placement import Placement, profiled, read
from assay.ort import installation
from assay.ort.session import make_session_options

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


def node(provider: str, operator: str, inputs: list[Any], outputs: list[Any]) -> dict[str, Any]:
    """An operator's event, as ONNX Runtime 1.31 writes it (the fields that are read)."""
    args = {"op_name": operator, "provider": provider, "input_type_shape": inputs, "output_type_shape": outputs}
    return {"cat": "Node", "name": f"{operator}_3_kernel_time", "ph": "X", "args": args}


def placement(*events: dict[str, Any], rows: int = 19) -> Placement:
    run = {"cat": "Session", "name": "model_run", "args": {}}
    return read(json.dumps([run, *events]).encode(), rows)


def test_operators_are_counted_by_provider() -> None:
    found = placement(
        node(CUDA, "MatMul", [{"float16": [19, 32, 8]}], [{"float16": [19, 32, 8]}]),
        node(CUDA, "Add", [{"float16": [19, 32, 8]}], [{"float16": [19, 32, 8]}]),
        node(CPU, "Shape", [{"int64": [19, 32]}], [{"int64": [2]}]),
    )
    assert found == Placement({CUDA: 2, CPU: 1}, {})


def test_what_computes_shapes_positions_and_distances_on_the_cpu_does_not_count() -> None:
    found = placement(
        node(CPU, "Shape", [{"int64": [19, 32]}], [{"int64": [2]}]),
        node(CPU, "Gather", [{"int64": [2]}, {"int64": []}], [{"int64": []}]),
        node(CPU, "Range", [{"float": []}], [{"float": [32]}]),
        node(CPU, "Sub", [{"float": [32, 1]}, {"float": [1, 32]}], [{"float": [32, 32]}]),
        node(CPU, "Slice", [{"float": [8192, 64]}], [{"float": [32, 64]}]),
        node(CPU, "ConstantOfShape", [{"int64": [1]}], [{"int64": [0]}]),
    )
    assert found.on_cpu == {}


def test_what_computes_on_data_on_the_cpu_counts_by_operator() -> None:
    found = placement(
        node(CPU, "Gather", [{"int8": [128_100, 768]}, {"int64": [19, 32]}], [{"int8": [19, 32, 768]}]),
        node(CPU, "Softmax", [{"float": [228, 32, 32]}], [{"float": [228, 32, 32]}]),
        node(CPU, "Softmax", [{"float16": [12, 19, 32, 32]}], [{"float16": [12, 19, 32, 32]}]),
        node(CPU, "Cast", [{"int64": [19, 32]}], [{"bool": [19, 32]}]),
        node(CPU, "MemcpyToHost", [{"float": [19, 5]}], [{"float": [19, 5]}]),
    )
    assert found.on_cpu == {"Gather": 1, "Softmax": 2, "Cast": 1, "MemcpyToHost": 1}


def test_of_one_row_everything_on_the_cpu_counts() -> None:
    found = placement(
        node("TensorrtExecutionProvider", "TRTKernel", [{"int64": [1, 32]}], [{"float": [1, 5]}]),
        node(CPU, "Shape", [{"int64": [1, 32]}], [{"int64": [2]}]),
        rows=1,
    )
    assert found.on_cpu == {"Shape": 1}


def test_the_profile_of_a_real_session_is_read_and_removed(pair_bundle: Path) -> None:
    ort = installation.onnxruntime()
    options = make_session_options(ort, Graph("", (), (), "disabled", {}), 1)
    with profiled(options, 19) as finish:
        folder = Path(options.profile_file_prefix).parent
        session = ort.InferenceSession(str(pair_bundle / "onnx/model.onnx"), options, providers=[CPU])
        ids = np.ones((19, 7), np.int64)
        session.run(None, {"input_ids": ids, "attention_mask": ids})
        found = finish(session)
    assert not folder.exists()
    # The tiny graph computes no shapes: all of it works on data.
    assert found == Placement({CPU: 6}, dict.fromkeys(("Gather", "Cast", "Unsqueeze", "Mul", "ReduceMean", "Gemm"), 1))
