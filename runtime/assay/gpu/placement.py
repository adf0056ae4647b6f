"""Find the operators of a GPU session that compute on data but run on the CPU.

ONNX Runtime silently places an operator on the CPU if the GPU provider has no kernel for it, and copies its data there
and back. It also places operators that compute shapes on the CPU on purpose (GetCpuPreferredNodes in its
fallback_cpu_capability.cc), so a count alone says nothing. Its list of assigned nodes (1.24 and later,
session.record_ep_graph_assignment_info) names operators but not their data: a Gather may read a shape or the
embeddings. Therefore the session is created with profiling and runs once. The profile has the provider of every
operator, and the types and shapes of its inputs and outputs. The run also loads the kernels, so that a missing kernel
shows when a model is loaded and not at the first request.

An operator counts if a dimension of an output is a multiple of the batch size. The run has PROBE_ROWS rows, a prime
that is unlikely to divide a width or length of a model: the shapes, positions and distances that a graph computes do
not depend on the batch. This classifies all operators of the authored architectures correctly
(tests/export/graphs/test_placement.py).
"""

import contextlib
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.devices import CPU_PROVIDER

__all__ = ["PROBE_ROWS", "Placement", "profile", "read"]

PROBE_ROWS = 19


@dataclass(frozen=True, slots=True)
class Placement:
    """The number of operators by provider, and of those on the CPU that compute on data by operator type."""

    nodes: dict[str, int]
    on_cpu: dict[str, int]


@contextlib.contextmanager
def profile(options: Any, rows: int) -> Iterator[Callable[[Any], Placement]]:
    """Turn on profiling in session `options`.

    Yields:
        A function to call with a session that has run once, on `rows` rows. It stops profiling and returns the
        placement.
    """
    with tempfile.TemporaryDirectory(prefix="assay-", ignore_cleanup_errors=True) as folder:
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")

        def finish(session: Any) -> Placement:
            return read(Path(session.end_profiling()).read_bytes(), rows)

        try:
            yield finish
        finally:
            options.enable_profiling = False


def read(data: bytes, rows: int) -> Placement:
    """Read the placement from the JSON profile of one run on `rows` rows. With one row, every operator counts."""
    nodes: Counter[str] = Counter()
    on_cpu: Counter[str] = Counter()
    for event in json.loads(data):
        if event.get("cat") != "Node" or not event["name"].endswith("_kernel_time"):
            continue
        values = event["args"]
        nodes[values["provider"]] += 1
        shapes = [shape for output in values.get("output_type_shape", []) for shape in output.values()]
        if values["provider"] == CPU_PROVIDER and (rows == 1 or any(_has_batch(shape, rows) for shape in shapes)):
            on_cpu[values["op_name"]] += 1
    return Placement(dict(nodes), dict(on_cpu))


def _has_batch(shape: list[int], rows: int) -> bool:
    return any(size > 0 and size % rows == 0 for size in shape)
