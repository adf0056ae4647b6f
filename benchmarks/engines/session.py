"""A graph in the runtime's own session on the CPU."""

from pathlib import Path

import numpy as np

from assay.bundle.manifest import Graph
from assay.devices import parse_device
from assay.inputs.tokenization import Tokens
from assay.ort.packed_session import PackedSession
from assay.ort.session import Float32, GraphSession
from benchmarks.timing import Call, Ids

__all__ = ["open_graph"]


def open_graph(path: Path, graph: Graph, labels: int, threads: int) -> Call:
    """Load a graph. Its threads sleep 100 microseconds after a run, so nothing spins during other contenders' turns.

    Args:
        path: The ONNX file.
        graph: The graph's entry in a manifest: its inputs and its optimisation level.
        labels: The number of logits of a row.
        threads: Threads of one run.
    """
    kind = PackedSession if graph.is_packed else GraphSession
    session = kind(path, graph, labels, parse_device("cpu"), threads)

    def call(ids: Ids) -> Float32:
        return session.answer([Tokens(row, np.zeros_like(row)) for row in ids])

    return call
