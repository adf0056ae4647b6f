"""The manifest's entry for one graph, as far as it is known before the graph has passed its gate."""

from collections.abc import Iterable
from typing import Any

from assay_export.graphs.cpu_session import GRAPH_OPTIMIZATION
from assay_export.graphs.writer import Dialect

__all__ = ["list_inputs", "make_entry"]

GRAPH_INPUTS = {
    Dialect.PORTABLE: ("input_ids", "attention_mask"),
    Dialect.CPU: ("input_ids",),
    Dialect.KERNELS: ("input_ids", "row_starts"),
}


def list_inputs(dialect: Dialect, model_inputs: Iterable[str]) -> list[str]:
    """List the inputs of a graph in `dialect` of a model that takes `model_inputs`, such as token_type_ids."""
    return [*GRAPH_INPUTS[dialect], *(name for name in model_inputs if name not in GRAPH_INPUTS[Dialect.PORTABLE])]


def make_entry(dialect: Dialect, file: str, data: Iterable[str], inputs: Iterable[str] | None = None) -> dict[str, Any]:
    """Return the manifest's entry for a graph, without its gate report.

    Args:
        dialect: The dialect that the graph is written in.
        file: The graph's path in the bundle.
        data: The paths in the bundle of its external weights.
        inputs: The names of the graph's inputs; by default those of an authored graph in this dialect.
    """
    return {
        "file": file,
        "data": list(data),
        "inputs": list(GRAPH_INPUTS[dialect] if inputs is None else inputs),
        "graph_optimization": GRAPH_OPTIMIZATION[dialect],
    }
