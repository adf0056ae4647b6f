"""Helpers: fp16 graphs of the tiny random classifiers, their answers and their types."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from assay_export.checkpoint.configs.config_dialects import to_transformers_4
from assay_export.graphs.architectures import AUTHORED
from assay_export.graphs.writer import Array
from assay_export.variants.fp16 import graph
from assay_export.variants.fp16.graph import Fp16
from tests.export import tiny

DEBERTA = tiny.deberta_config()
MODERNBERT = to_transformers_4(tiny.modernbert_config())


def author(module: Any, config: dict[str, Any], path: Path, float32: Collection[str] = ()) -> Fp16:
    """Write the fp16 graph of `module` to `path`, and return its precision."""
    architecture = AUTHORED[config["model_type"]]
    weights = {name: tensor.detach().numpy() for name, tensor in module.state_dict().items()}
    return graph.author(architecture, architecture.read_config(config), weights, float32, path)


def make_feed(input_ids: Array, attention_mask: Array | None = None) -> dict[str, Array]:
    mask = np.ones_like(input_ids) if attention_mask is None else attention_mask
    return {"input_ids": input_ids, "attention_mask": mask}


def run_reference(path: Path, inputs: dict[str, Array]) -> Array:
    """Run onnx's reference evaluator: numpy, with every float16 tensor in float16 and only the graph's own casts."""
    with np.errstate(all="ignore"):
        return np.asarray(next(iter(ReferenceEvaluator(str(path)).run(["logits"], inputs))))


def read_types(path: Path) -> dict[str, int]:
    """Return the element type of every value and weight of a graph, by onnx's own shape inference."""
    model = onnx.shape_inference.infer_shapes(onnx.load(path), strict_mode=True, data_prop=True)
    values = [*model.graph.input, *model.graph.output, *model.graph.value_info]
    return {value.name: value.type.tensor_type.elem_type for value in values} | {
        weight.name: weight.data_type for weight in model.graph.initializer
    }
