"""Which operators of a session really ran on the CPU though a GPU was asked for.

ONNX Runtime gives every operator for which a GPU provider has no kernel to the CPU, in silence, and copies its data
there and back. It also puts there, on purpose, what computes shapes (GetCpuPreferredNodes in its
fallback_cpu_capability.cc), so that a count alone says nothing. Its list of assigned nodes (1.24 and later,
session.record_ep_graph_assignment_info) names operators and not what they work on: a Gather may take from a shape or
from the embeddings. So the session is created with profiling, runs once, and its profile is read: it has the provider,
and the types and shapes of the inputs and outputs, of every operator. That run also loads the kernels, so that what is
missing on this GPU shows when a model is loaded, and not at the first request.

An operator counts where an output of it has a dimension that the batch is a factor of. The run has PROBE_ROWS rows, a
prime that no width or length of a model is likely to be a multiple of: what computes shapes, positions and distances
gives tensors that know nothing of the batch. On both authored architectures that tells all operators apart rightly
(tests/export/test_placement.py).
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

__all__ = ["PROBE_ROWS", "Placement", "profiled", "read"]

PROBE_ROWS = 19


@dataclass(frozen=True, slots=True)
class Placement:
    """How many operators each provider ran, and those on the CPU that compute on data, by operator type."""

    nodes: dict[str, int]
    on_cpu: dict[str, int]


@contextlib.contextmanager
def profiled(options: Any, rows: int) -> Iterator[Callable[[Any], Placement]]:
    """Session `options` with profiling on.

    The value is called with a session that has run once, on `rows` rows, and gives the placement; it stops profiling.
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


def read(profile: bytes, rows: int) -> Placement:
    """The placement that `profile`, ONNX Runtime's JSON of one run on `rows` rows, shows. Of one row, all counts."""
    nodes: Counter[str] = Counter()
    on_cpu: Counter[str] = Counter()
    for event in json.loads(profile):
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
