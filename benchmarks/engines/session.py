"""A graph in the runtime's own session on the CPU."""

from pathlib import Path

import numpy as np

from assay.bundle.manifest import Graph, Manifest
from assay.devices import parse_device
from assay.inputs.tokenization import Tokens
from assay.optional_packages import require
from assay.ort.packed_session import PackedSession
from assay.ort.session import Float32, GraphSession
from benchmarks.errors import BenchmarkError
from benchmarks.timing import Call, Ids

__all__ = ["choose_int8_graph", "open_graph", "open_session"]


def choose_int8_graph(bundle: Path, described: Manifest, given: Path | None) -> tuple[Path, Graph]:
    """Choose the int8 graph to measure: `given`, or the bundle's int8 variant.

    Raises:
        BenchmarkError: There is neither.
    """
    if given is not None:
        inputs = require("onnx", "'assay[export]'", "--int8").load(str(given), load_external_data=False).graph.input
        return given, Graph(given.name, (), tuple(value.name for value in inputs), "basic", {})
    graph = described.variants.get("int8", {}).get("kernels")
    if graph is None:
        raise BenchmarkError(f"{bundle} has no int8 variant: export it with --variants fp32,int8, or pass --int8 FILE")
    return bundle / graph.file, graph


def open_session(path: Path, graph: Graph, labels: int, threads: int) -> GraphSession:
    """Load a graph. Its threads sleep 100 microseconds after a run, so nothing spins during other contenders' turns.

    Args:
        path: The ONNX file.
        graph: The graph's entry in a manifest: its inputs and its optimisation level.
        labels: The number of logits of a row.
        threads: Threads of one run.
    """
    kind = PackedSession if graph.is_packed else GraphSession
    return kind(path, graph, labels, parse_device("cpu"), threads)


def open_graph(path: Path, graph: Graph, labels: int, threads: int) -> Call:
    """Load a graph as `open_session` does, for rows of token ids that share a call."""
    session = open_session(path, graph, labels, threads)

    def call(ids: Ids) -> Float32:
        return session.answer([Tokens(row, np.zeros_like(row)) for row in ids])

    return call
