"""ONNX Runtime sessions for the export: on the CPU, with the graph optimisation level that the manifest will name."""

from collections.abc import Mapping
from pathlib import Path

import onnxruntime

from assay.files import to_utf_8
from assay.ort import kernels
from assay_export.graphs.writer import Array, Dialect

__all__ = ["GRAPH_OPTIMIZATION", "load", "select_inputs"]

GRAPH_OPTIMIZATION = {Dialect.CPU: "basic", Dialect.PORTABLE: "all", Dialect.KERNELS: "basic"}
"""The optimisation level of an authored float32 graph, by dialect. The cpu graph is already in its fastest form: beyond
constant folding, ONNX Runtime makes it slower (it fuses Add and LayerNormalization to SkipLayerNormalization,
docs/measurements/performance.md). Portable graphs rely on the fusions of the execution provider that runs them."""

_LEVELS = {
    "disabled": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


def load(
    path: Path,
    graph_optimization: str = GRAPH_OPTIMIZATION[Dialect.CPU],
    *,
    keep_memory: bool = True,
    in_order: bool = False,
    uses_kernels: bool = False,
) -> onnxruntime.InferenceSession:
    """Load the graph at `path` into a session.

    Args:
        path: The .onnx file.
        graph_optimization: The optimisation level: "disabled", "basic" or "all".
        keep_memory: Whether ONNX Runtime's arena keeps its memory for the next run, which at 8,192 tokens is gigabytes.
            Otherwise each tensor is freed after its last use.
        in_order: Whether to run the nodes in the order of the file. By default ONNX Runtime goes depth first from the
            outputs, and runs nodes that only feed an extra output last.
    """
    options = onnxruntime.SessionOptions()
    options.enable_cpu_mem_arena = options.enable_mem_pattern = keep_memory
    if in_order:
        options.execution_order = onnxruntime.ExecutionOrder.PRIORITY_BASED
    if uses_kernels:
        kernels.register(options)
    options.graph_optimization_level = _LEVELS[graph_optimization]
    return onnxruntime.InferenceSession(to_utf_8(path), options, providers=["CPUExecutionProvider"])


def select_inputs(session: onnxruntime.InferenceSession, feed: Mapping[str, Array]) -> dict[str, Array]:
    """Return those entries of `feed` that the session's graph takes: a cpu graph takes no attention mask."""
    return {node.name: feed[node.name] for node in session.get_inputs()}
