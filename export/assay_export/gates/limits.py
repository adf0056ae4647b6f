"""How far a float32 graph may be from PyTorch: an absolute limit, or a few times PyTorch's own rounding error.

Rounding errors grow with the logits. Where logits are large, or a model amplifies rounding, PyTorch's float32 logits
differ from its float64 logits by more than the absolute limit, and so does every correct graph.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from assay.errors import one_line
from assay_export.checkpoint.reference import ReferenceModel
from assay_export.checkpoint.rounding import FP32_MAX_DELTA, measure_rounding
from assay_export.gates import parity
from assay_export.gates.parity import Case
from assay_export.progress import Progress

__all__ = ["NEAR", "check_all"]

NEAR = FP32_MAX_DELTA / 4
"""A graph that differs by more is judged by PyTorch's own error, which takes as much time again to measure. One that
does not is so far within the limit that another machine's rounding does not matter."""


def check_all(
    graphs: Mapping[str, dict[str, Any]], reference: ReferenceModel, cases: Sequence[Case], progress: Progress
) -> None:
    """Check the measured differences of every float32 graph, and add the limit to its report.

    PyTorch is asked in float64 if a graph is near the absolute limit. All graphs then have the same limit, and their
    reports say what PyTorch's own error is.

    Args:
        graphs: The entries of the graphs, with the report of `parity.measure` under "parity".
        reference: The PyTorch model.
        cases: The inputs of the gate, with PyTorch's float32 logits.
        progress: Where to report progress.

    Raises:
        ParityError: A graph differs by more than its limit.
    """
    limit, found, own = FP32_MAX_DELTA, {}, ""
    if not max(graph["parity"]["max_abs_delta"] for graph in graphs.values()) <= NEAR:
        try:
            with progress.bar("Asking PyTorch in float64", len(cases)) as advance:
                rounding = measure_rounding(reference, [(case.feed, case.expected) for case in cases], advance)
        except (RuntimeError, TypeError, ValueError) as error:  # a module that computes in float32 whatever its weights
            own = f"PyTorch does not answer in float64 ({one_line(error, 200)}), so the limit is absolute; "
        else:
            limit, found = rounding.limit, {"reference_error": rounding.error}
            own = f"PyTorch's own float32 logits differ from its float64 logits by {rounding.error:.0e}; "
    for graph in graphs.values():
        graph["parity"] = parity.check(graph["parity"] | found, limit, graph["file"], f"{own}{parity.REPORT_IT}")
