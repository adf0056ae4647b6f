"""A graph in the runtime's own session on the CPU."""

from pathlib import Path

import numpy as np

from assay.bundle.manifest import Graph
from assay.devices import parse_device
from assay.ort.session import GraphSession
from benchmarks.timing import Call

__all__ = ["open_graph"]


def open_graph(path: Path, graph: Graph, labels: int, threads: int) -> Call:
    """Load a graph. Its threads sleep 100 microseconds after a run, so nothing spins during other contenders' turns.

    Args:
        path: The ONNX file.
        graph: The graph's entry in a manifest: its inputs and its optimisation level.
        labels: The number of logits of a row.
        threads: Threads of one run.
    """
    session = GraphSession(path, graph, labels, parse_device("cpu"), threads)
    return lambda ids: session.logits(ids, np.zeros_like(ids))
