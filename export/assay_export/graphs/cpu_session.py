"""ONNX Runtime sessions of the export stage: on the CPU, with the optimisations that the manifest will ask for."""

from pathlib import Path

import onnxruntime

from assay.ort import kernels
from assay_export.graphs.writer import Dialect

# The authored cpu graph is the final word: beyond constants, ONNX Runtime's rewriting makes it slower (it fuses Add and
# LayerNormalization to SkipLayerNormalization, docs/performance.md). Portable graphs are for whatever fuses on a GPU.
GRAPH_OPTIMIZATION = {Dialect.CPU: "basic", Dialect.PORTABLE: "all", Dialect.KERNELS: "basic"}

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
    """The graph at `path`, loaded; without `keep_memory` each tensor is freed when it has been read for the last time.

    ONNX Runtime's arena keeps what it has allocated, for the next run: at 8,192 tokens that is gigabytes. Its order is
    depth first from the outputs, and leaves what is only looked at for the end; `in_order` takes the file's order.
    """
    options = onnxruntime.SessionOptions()
    options.enable_cpu_mem_arena = options.enable_mem_pattern = keep_memory
    if in_order:
        options.execution_order = onnxruntime.ExecutionOrder.PRIORITY_BASED
    if uses_kernels:
        kernels.register(options)
    options.graph_optimization_level = _LEVELS[graph_optimization]
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
