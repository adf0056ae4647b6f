"""A session of one operator of the domain `assay`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


def find_library() -> Path:
    """The library that ASSAY_KERNELS_LIBRARY names, else the installed one."""
    if named := os.environ.get("ASSAY_KERNELS_LIBRARY"):
        return Path(named)
    try:
        import assay_kernels
    except ImportError:
        return Path("assay_kernels is not installed")
    return Path(assay_kernels.library_path())


LIBRARY = find_library()

ELEMENTS = {
    np.dtype(np.float32): TensorProto.FLOAT,
    np.dtype(np.int64): TensorProto.INT64,
    np.dtype(np.int32): TensorProto.INT32,
    np.dtype(np.int8): TensorProto.INT8,
}


def session_of(
    operator: str,
    inputs: list[str],
    given: dict[str, np.ndarray],
    attributes: Mapping[str, Any],
    *,
    fed: Mapping[str, type],
    threads: int = 1,
) -> onnxruntime.InferenceSession:
    """`inputs` names the operator's inputs in order; those in `given` are initializers, those in `fed` are fed, with
    shapes left open, and the others are absent."""
    names = [name if name in given or name in fed else "" for name in inputs]
    while names and not names[-1]:
        names.pop()
    node = helper.make_node(operator, names, ["y"], domain="assay", **attributes)
    graph = helper.make_graph(
        [node],
        "one_operator",
        [helper.make_tensor_value_info(name, ELEMENTS[np.dtype(kind)], None) for name, kind in fed.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in given.items()],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("assay", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # errors are what the tests look at
    # Memory from malloc, so that AddressSanitizer sees where a tensor ends.
    options.enable_cpu_mem_arena = False
    options.register_custom_ops_library(str(LIBRARY))
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
