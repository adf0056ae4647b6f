"""The implementations that benchmarks.int8_peers compares, each as a Turn: a function that times itself on some texts.

How long they take is all that is asked of them here. That int8 answers rightly is the export's gate, and the tests.
"""

import importlib
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from assay.bundle.manifest import Graph
from assay.devices import parse_device
from assay.errors import AssayError
from assay.ort import installation
from assay.ort.session import GraphSession

Ids = npt.NDArray[np.int64]  # token ids [1, sequence]
Call = Callable[[Ids], object]  # one sequence; returns when the answer is there
Turn = Callable[[Sequence[Ids]], float]  # gives seconds per sequence

EXTRAS = {"openvino": "bench", "nncf": "bench", "onnx": "export", "torch": "export", "transformers": "export"}
PROBE_TOKENS = 5  # any length but 1 tells a layer over tokens from one over the pooled text


class PeerError(AssayError):
    """The peers cannot be compared on what was given, or one of them is not installed."""


@dataclass(frozen=True)
class Layer:
    """A linear layer: weight [width, columns], once per token or, `pooled`, once per text."""

    pooled: bool
    width: int
    columns: int


def require(package: str) -> Any:
    """The module `package`.

    Raises:
        PeerError: it cannot be imported.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise PeerError(f"{package} cannot be imported ({error}): pip install 'assay[{EXTRAS[package]}]'") from error


def one_at_a_time(call: Call) -> Turn:
    """The median over the texts, each waiting for the one before. A first call, not timed, wakes threads and caches."""

    def turn(texts: Sequence[Ids]) -> float:
        call(texts[0])
        times = []
        for ids in texts:
            start = time.perf_counter()
            call(ids)
            times.append(time.perf_counter() - start)
        return float(np.median(times))

    return turn


def from_callers(call: Call, callers: int) -> Turn:
    """`callers` threads share the texts: the time of all over their number. One text each, not timed, comes first."""
    pool = ThreadPoolExecutor(callers)

    def turn(texts: Sequence[Ids]) -> float:
        list(pool.map(call, texts[:callers]))
        start = time.perf_counter()
        list(pool.map(call, texts))
        return (time.perf_counter() - start) / len(texts)

    return turn


def assay_int8(path: Path, graph: Graph, labels: int, threads: int) -> Call:
    """The runtime's own session: its threads sleep 100 microseconds after a run, so nothing spins in others' turns."""
    session = GraphSession(path, graph, labels, parse_device("cpu"), threads)
    return lambda ids: session.logits(ids, np.zeros_like(ids))


def torch_fp32(checkpoint: Path, threads: int) -> Call:
    """transformers' eager float32 model."""
    torch, transformers = require("torch"), require("transformers")
    torch.set_num_threads(threads)
    try:
        model = transformers.AutoModelForSequenceClassification.from_pretrained(
            str(checkpoint), dtype=torch.float32, attn_implementation="eager", local_files_only=True
        ).eval()
    except (OSError, ValueError) as error:
        raise PeerError(f"{checkpoint}: transformers cannot load it ({error}); --torch needs a whole model") from error

    def call(ids: Ids) -> object:
        with torch.inference_mode():
            return model(input_ids=torch.from_numpy(ids)).logits.numpy()

    return call


def linear_layers(portable: Path) -> list[Layer]:
    """The linear layers of the portable graph, and which of them see one row per text: the pooled head, and what of
    DeBERTa's last layer only the first token needs. A run with the products as outputs tells: shapes are symbolic.

    Raises:
        PeerError: the graph multiplies with no constant matrix.
    """
    onnx, ort = require("onnx"), installation.onnxruntime()
    model = onnx.load(str(portable), load_external_data=False)
    sizes = {weight.name: tuple(weight.dims) for weight in model.graph.initializer}
    products = {
        node.output[0]: sizes[node.input[1]]
        for node in model.graph.node
        if node.op_type == "MatMul" and len(sizes.get(node.input[1], ())) == 2
    }
    if not products:
        raise PeerError(f"{portable} has no product with a constant matrix: export the bundle by the authored road")
    del model.graph.output[:]
    model.graph.output.extend(onnx.helper.make_tensor_value_info(name, 1, None) for name in products)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(portable.parent))
    options.add_session_config_entry("session.disable_prepacking", "1")  # one run does not repay it
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    ids = np.ones((1, PROBE_TOKENS), np.int64)
    answers = session.run(list(products), {value.name: ids for value in session.get_inputs()})
    pairs = zip(answers, products.values(), strict=True)
    return [Layer(answer.size == columns, width, columns) for answer, (width, columns) in pairs]


def bare_products(layers: Sequence[Layer], threads: int) -> Call:
    """Nothing but one DynamicQuantizeMatMul per layer (activation quantisation included) on random numbers: what no
    int8 graph of these layers on ONNX Runtime gets under."""
    onnx, ort = require("onnx"), installation.onnxruntime()
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
        # The shape keeps the product alive at no cost, and lets its buffer be used again as in a model.
        nodes.append(helper.make_node("Shape", [f"y{number}"], [f"n{number}"]))
    nodes.append(helper.make_node("Concat", [f"n{number}" for number in range(len(layers))], ["shapes"], axis=0))
    values = [helper.make_tensor_value_info(name, tensors.FLOAT, [None, width]) for name, (_, width) in inputs.items()]
    shapes = helper.make_tensor_value_info("shapes", tensors.INT64, [None])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    graph = helper.make_graph(nodes, "bare products", values, [shapes], weights)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.intra_op.spin_duration_us", "100")  # as in runtime/assay/session.py
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


def openvino_int8(portable: Path, rows: Sequence[Ids], folder: Path) -> Path:
    """The portable graph after nncf.quantize with its defaults for transformers, SmoothQuant included, calibrated on
    `rows`: an OpenVINO model in the new `folder`, or the one that an earlier run left there."""
    model = folder / "model.xml"
    if model.is_file():
        return model
    openvino, nncf = require("openvino"), require("nncf")
    data = nncf.Dataset(list(rows), lambda ids: {"input_ids": ids, "attention_mask": np.ones_like(ids)})
    source = openvino.Core().read_model(str(portable))
    quantised = nncf.quantize(source, data, model_type=nncf.ModelType.TRANSFORMER, subset_size=len(rows))
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    openvino.save_model(quantised, str(partial / model.name))
    partial.rename(folder)
    return model


def openvino_one(model: Path, cores: int) -> tuple[Turn, str]:
    """One request on all cores, and the type that OpenVINO chose for what is not int8."""
    compiled = _compile(model, {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": cores})
    request, masks = compiled.create_infer_request(), _Masks()
    precision = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()

    def call(ids: Ids) -> object:
        return request.infer(
            {"input_ids": ids, "attention_mask": masks[ids.shape[1]]}, share_inputs=True, share_outputs=True
        )

    return one_at_a_time(call), precision


def openvino_many(model: Path, cores: int) -> Turn:
    """One stream per core, fed by OpenVINO's own queue of requests; timed as `from_callers` is."""
    streams = {"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": cores, "INFERENCE_NUM_THREADS": cores}
    queue, masks = require("openvino").AsyncInferQueue(_compile(model, streams)), _Masks()

    def turn(texts: Sequence[Ids]) -> float:
        start = 0.0
        for part in (texts[:cores], texts):
            start = time.perf_counter()
            for ids in part:
                queue.start_async({"input_ids": ids, "attention_mask": masks[ids.shape[1]]}, share_inputs=True)
            queue.wait_all()
        return (time.perf_counter() - start) / len(texts)

    return turn


class _Masks(dict[int, Ids]):
    """Masks of ones by length, kept alive: requests read them in place."""

    def __missing__(self, length: int) -> Ids:
        return self.setdefault(length, np.ones((1, length), np.int64))


def _compile(model: Path, settings: dict[str, Any]) -> Any:
    return require("openvino").Core().compile_model(str(model), "CPU", settings)
