"""What the int8 variants of one export share: calibration rows, PyTorch's logits for them, and layer statistics."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from assay_export.checkpoint.reference import Feed
from assay_export.gates.answers import run_pytorch
from assay_export.graphs.writer import Array
from assay_export.variants.int8 import statistics
from assay_export.variants.int8.statistics import Statistics
from assay_export.variants.material import Material

__all__ = ["Calibration", "calibrate"]

# The search sees the first third of the calibration rows, at most this many. The gate is run on all others.
SEARCH_ROWS = 128
# Statistics are recorded on the first of the search's rows, at most this many.
STATISTICS_ROWS = 64


@dataclass(frozen=True)
class Calibration:
    """The calibration rows and what is known of them.

    Attributes:
        rows: The calibration text.
        feeds: The inputs of PyTorch and of the graphs, one row each.
        expected: PyTorch's logits, float32 [rows, labels].
        layers: The statistics of each linear layer and table of positions, by name.
        searched: How many of the rows the search sees. The others are held out for the gate.
    """

    rows: Sequence[tuple[str, ...]]
    feeds: Sequence[Feed]
    expected: Array
    layers: Mapping[str, Statistics]
    searched: int


def calibrate(material: Material) -> Calibration:
    """Run PyTorch on the calibration rows, and record the inputs of every layer on the first of them."""
    progress, reference = material.progress, material.loaded.reference
    feeds = material.encode(material.rows)
    with progress.bar("Running PyTorch on the calibration rows", len(feeds)) as advance:
        expected = run_pytorch(reference, feeds, advance)
    searched = min(SEARCH_ROWS, len(feeds) // 3)
    recorded = min(STATISTICS_ROWS, searched)
    with (
        tempfile.TemporaryDirectory(prefix="int8-", dir=material.folder, ignore_cleanup_errors=True) as scratch,
        progress.bar("Recording activations", recorded) as advance,
    ):
        layers = statistics.collect(
            material.architecture, material.settings, reference.weights(), feeds[:recorded], Path(scratch), advance
        )
    return Calibration(material.rows, feeds, expected, layers, searched)
