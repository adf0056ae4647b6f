"""The bare products of an int8 graph for assay-kernels: its linear layers and nothing else, on the same kernels."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from assay.optional_packages import require
from assay.ort import installation, kernels
from benchmarks.errors import BenchmarkError
from benchmarks.timing import Call, Ids

__all__ = ["bare_kernel_products"]

EXTRA, USER = "'assay[export]'", "the bare products of the kernels"
LINEAR = {"Linear": 4, "FloatLinear": 2}
"""The operators, and the index of the optional bias in their inputs. Residual, gain and bias of the norm follow it."""
PROBE_TOKENS = 5  # any length except 1 tells a layer over tokens from one over the pooled text


def bare_kernel_products(path: Path, threads: int) -> Call:
    """Make a graph of the linear layers of the int8 graph at `path`, with its weights, on random activations.

    Layers keep their bias and the remedies of the export (groups, float32 columns, float32 layers). Layer norms,
    residuals and activation functions are left out, except for the gate of a gated layer, whose columns are packed in
    halves. Each layer quantizes its own input.

    Raises:
        BenchmarkError: The graph has no linear layers for the kernels.
        InstallationError: The kernels or onnx are not installed.
    """
    onnx = require("onnx", EXTRA, USER)
    model = onnx.load(str(path), load_external_data=False)
    layers = [node for node in model.graph.node if node.op_type in LINEAR and node.domain == "assay"]
    if not layers:
        raise BenchmarkError(f"{path}: found no Linear of assay-kernels, expected the graph of the variant int8")
    pooled = _find_pooled(model, [node.output[0] for node in layers], path.parent)
    inputs: dict[str, tuple[bool, int]] = {}
    outputs = []
    for number, node in enumerate(layers):
        width = next(value.i for value in node.attribute if value.name == "K")
        source = f"{'text' if node.output[0] in pooled else 'tokens'}_{width}"
        inputs[source] = (node.output[0] in pooled, width)
        bias = LINEAR[node.op_type]
        outliers = list(node.input[bias + 4 :])
        node.input[:] = [source, *node.input[1 : bias + 1], *(["", "", "", *outliers] if outliers else [])]
        for value in node.attribute:
            if value.name in ("prologue", "epilogue") or (value.name == "activation" and value.s[:6] != b"geglu_"):
                value.s = b"none"
        # Taking the shape keeps the product alive at no cost, and lets its buffer be reused as in a model.
        outputs += [node, onnx.helper.make_node("Shape", [node.output[0]], [f"shape_{number}"])]
    names = [f"shape_{number}" for number in range(len(layers))]
    nodes = [*outputs, onnx.helper.make_node("Concat", names, ["shapes"], axis=0)]
    kept = {name for node in layers for name in node.input}
    weights = [weight for weight in model.graph.initializer if weight.name in kept]
    helper, tensors = onnx.helper, onnx.TensorProto
    values = [helper.make_tensor_value_info(name, tensors.FLOAT, [None, width]) for name, (_, width) in inputs.items()]
    shapes = helper.make_tensor_value_info("shapes", tensors.INT64, [None])
    graph = helper.make_graph(nodes, "bare kernel products", values, [shapes], weights)
    bare = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    session = _open(bare, path.parent, threads)
    random = np.random.default_rng(0)
    feeds: dict[int, dict[str, npt.NDArray[np.float32]]] = {}

    def call(ids: Ids) -> object:
        length = ids.shape[1]
        if length not in feeds:
            feeds[length] = {
                name: random.standard_normal((1 if is_pooled else length, width), np.float32)
                for name, (is_pooled, width) in inputs.items()
            }
        return session.run(None, feeds[length])

    return call


def _find_pooled(model: Any, names: list[str], folder: Path) -> set[str]:
    """Return which of the layers' outputs have one row for a text of several tokens."""
    onnx = require("onnx", EXTRA, USER)
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    del probe.graph.output[:]
    probe.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    feed = {"input_ids": np.ones(PROBE_TOKENS, np.int64), "row_starts": np.array([0, PROBE_TOKENS], np.int64)}
    answers = _open(probe, folder, 1).run(names, feed)
    return {name for name, answer in zip(names, answers, strict=True) if len(answer) == 1}


def _open(model: Any, folder: Path, threads: int) -> Any:
    ort = installation.onnxruntime()
    options = ort.SessionOptions()
    kernels.register(options)
    options.intra_op_num_threads = threads
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
    options.add_session_config_entry("session.intra_op.spin_duration_us", "100")  # as in assay.ort.session
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
