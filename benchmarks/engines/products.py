"""The bare int8 products of a model's linear layers on ONNX Runtime: the floor of any int8 graph made of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from assay.optional_packages import require
from assay.ort import installation
from benchmarks.errors import BenchmarkError
from benchmarks.machine.limits import floor_seconds
from benchmarks.timing import Call, Ids

__all__ = ["Layer", "bare_products", "compute_floor", "read_layers"]

EXTRA, USER = "'assay[export]'", "the bare int8 products"
PROBE_TOKENS = 5  # any length except 1 tells a layer over tokens from one over the pooled text


@dataclass(frozen=True)
class Layer:
    """A linear layer with the weight [width, columns], applied to every token or, if `pooled`, once per text."""

    pooled: bool
    width: int
    columns: int


def read_layers(portable: Path) -> list[Layer]:
    """Read the linear layers of a portable graph, and which of them see one row per text.

    Those are the pooled head, and the part of DeBERTa's last layer that only the first token needs. Shapes in the
    graph are symbolic, so one run with all products as outputs tells.

    Raises:
        BenchmarkError: The graph multiplies with no constant matrix.
    """
    onnx, ort = require("onnx", EXTRA, USER), installation.onnxruntime()
    model = onnx.load(str(portable), load_external_data=False)
    sizes = {weight.name: tuple(weight.dims) for weight in model.graph.initializer}
    products = {
        node.output[0]: sizes[node.input[1]]
        for node in model.graph.node
        if node.op_type == "MatMul" and len(sizes.get(node.input[1], ())) == 2
    }
    if not products:
        raise BenchmarkError(
            f"{portable}: found no product with a constant matrix, expected a graph that assay's own architectures "
            "wrote: export the bundle again from a DeBERTa or ModernBERT checkpoint"
        )
    del model.graph.output[:]
    model.graph.output.extend(onnx.helper.make_tensor_value_info(name, 1, None) for name in products)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(portable.parent))
    options.add_session_config_entry("session.disable_prepacking", "1")  # packing does not pay off in one run
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    ids = np.ones((1, PROBE_TOKENS), np.int64)
    answers = session.run(list(products), {value.name: ids for value in session.get_inputs()})
    pairs = zip(answers, products.values(), strict=True)
    return [Layer(answer.size == columns, width, columns) for answer, (width, columns) in pairs]


def bare_products(layers: Sequence[Layer], threads: int) -> Call:
    """Make a graph of one DynamicQuantizeMatMul per layer (activation quantisation included) on random numbers.

    No int8 graph of these layers that uses ONNX Runtime's products is faster.
    """
    onnx, ort = require("onnx", EXTRA, USER), installation.onnxruntime()
    helper, tensors = onnx.helper, onnx.TensorProto
    random = np.random.default_rng(0)
    nodes, weights, inputs = [], [], {}
    for number, layer in enumerate(layers):
        source = f"{'text' if layer.pooled else 'tokens'}_{layer.width}"
        inputs[source] = (layer.pooled, layer.width)
        weight = random.integers(-127, 128, (layer.width, layer.columns), dtype=np.int8)
        scale = np.full(layer.columns, 0.01, np.float32)
        weights += [
            onnx.numpy_helper.from_array(weight, f"w{number}"),
            onnx.numpy_helper.from_array(scale, f"s{number}"),
        ]
        names = [source, f"w{number}", f"s{number}"]
        nodes.append(helper.make_node("DynamicQuantizeMatMul", names, [f"y{number}"], domain="com.microsoft"))
        # Taking the shape keeps the product alive at no cost, and lets its buffer be reused as in a model.
        nodes.append(helper.make_node("Shape", [f"y{number}"], [f"n{number}"]))
    nodes.append(helper.make_node("Concat", [f"n{number}" for number in range(len(layers))], ["shapes"], axis=0))
    values = [helper.make_tensor_value_info(name, tensors.FLOAT, [None, width]) for name, (_, width) in inputs.items()]
    shapes = helper.make_tensor_value_info("shapes", tensors.INT64, [None])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    graph = helper.make_graph(nodes, "bare products", values, [shapes], weights)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.intra_op.spin_duration_us", "100")  # as in assay.ort.session
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feeds: dict[int, dict[str, npt.NDArray[np.float32]]] = {}

    def call(ids: Ids) -> object:
        length = ids.shape[1]
        if length not in feeds:
            feeds[length] = {
                name: random.standard_normal((1 if pooled else length, width), np.float32)
                for name, (pooled, width) in inputs.items()
            }
        return session.run(None, feeds[length])

    return call


def compute_floor(layers: Sequence[Layer], tokens: int, peak: float, bytes_per_second: float) -> float:
    """Compute the least seconds in which the linear layers of a text of `tokens` can be done in int8.

    It is the longer of their operations at the int8 peak and of reading their int8 weights once.
    """
    sizes = [layer.width * layer.columns for layer in layers]
    rows = [1 if layer.pooled else tokens for layer in layers]
    operations = sum(2 * size * count for size, count in zip(sizes, rows, strict=True))
    return floor_seconds(operations, sum(sizes), peak, bytes_per_second)
