"""Record the inputs of each linear layer and table of positions on calibration text: ranges and a sample of tokens.

The float32 graph is written once more, with these inputs as extra outputs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from assay_export.checkpoint.reference import Feed
from assay_export.graphs import cpu_session
from assay_export.graphs.architecture import Architecture, Settings
from assay_export.graphs.net import Net
from assay_export.graphs.precision import Precision, TableProducts
from assay_export.graphs.weights import WeightFile
from assay_export.graphs.writer import Array, Dialect, GraphWriter

__all__ = ["LayerStatistics", "Statistics", "TableStatistics", "collect"]

# Tokens sampled from each calibration row, evenly spaced. All rows together are enough to measure a layer's error.
TOKENS_PER_ROW = 8


@dataclass
class LayerStatistics:
    """A linear layer and its inputs on calibration text.

    Attributes:
        name: The layer's name.
        weight: The weight, float32 [in, out].
        bias: The bias, float32 [out], or None.
        channel_max: The largest |x| of each input channel over all tokens, float32 [in].
        sample: The inputs of some tokens, float32 [tokens, in].
        peaks: The input of the token with the largest |x| of each calibration row, float32 [rows, in].
    """

    name: str
    weight: Array
    bias: Array | None
    channel_max: Array
    sample: Array
    peaks: Array


@dataclass
class TableStatistics:
    """A table of positions, and the queries and keys that are multiplied with it on calibration text.

    Attributes:
        name: The table's name.
        table: The table, float32 [heads, table rows, head_size].
        low: The smallest x of each calibration row, at most 0, float32 [rows, heads].
        high: The largest x of each calibration row, at least 0, float32 [rows, heads].
        score_max: The largest |score| of each calibration row with any table row, float32 [rows].
        sample: The queries and keys of some tokens, float32 [tokens, heads, head_size].
    """

    name: str
    table: Array
    low: Array
    high: Array
    score_max: Array
    sample: Array


Statistics = LayerStatistics | TableStatistics


def collect(
    architecture: Architecture,
    settings: Settings,
    weights: dict[str, Array],
    feeds: Sequence[Feed],
    folder: Path,
    advance: Callable[[], None] = lambda: None,
) -> dict[str, Statistics]:
    """Run the float32 cpu graph and record the inputs of every linear layer and table of positions.

    Args:
        architecture: The architecture to write.
        settings: Its settings.
        weights: The checkpoint's weights by name, float32.
        feeds: The calibration rows, each as a batch of one.
        folder: Where to write the graph.
        advance: Called after each row.

    Returns:
        The statistics by the names of the layers and tables.
    """
    observed = _Observed()
    with WeightFile(folder / "observed.onnx_data") as weight_file:
        net = Net("observed", Dialect.CPU, weight_file, observed)
        ir.save(architecture.author(net, settings, weights), folder / "observed.onnx")
    session = cpu_session.load(folder / "observed.onnx")
    gatherers = observed.gatherers
    for feed in feeds:
        inputs = session.run(list(gatherers), cpu_session.select_inputs(session, feed))
        for gatherer, x in zip(gatherers.values(), inputs, strict=True):
            gatherer.add(x)
        advance()
    return {name: gatherer.statistics() for name, gatherer in gatherers.items()}


class _LayerGatherer:
    """Gathers the statistics of a linear layer, row by row."""

    def __init__(self, name: str, weight: Array, bias: Array | None) -> None:
        self._name, self._weight, self._bias = name, weight, bias
        self._channel_max = np.zeros(len(weight), np.float32)
        self._samples: list[Array] = []
        self._peaks: list[Array] = []

    def add(self, x: Array) -> None:
        rows = x.reshape(-1, x.shape[-1])
        size = np.abs(rows)
        self._channel_max = np.maximum(self._channel_max, size.max(axis=0))
        self._samples.append(rows[_space_evenly(len(rows))])
        self._peaks.append(rows[size.max(axis=1).argmax()])

    def statistics(self) -> Statistics:
        sample, peaks = np.concatenate(self._samples), np.stack(self._peaks)
        return LayerStatistics(self._name, self._weight, self._bias, self._channel_max, sample, peaks)


class _TableGatherer:
    """Gathers the statistics of a table of positions, row by row."""

    def __init__(self, name: str, table: Array) -> None:
        self._name, self._table = name, table
        self._low: list[Array] = []
        self._high: list[Array] = []
        self._score_max: list[float] = []
        self._samples: list[Array] = []

    def add(self, x: Array) -> None:
        (by_head,) = x  # [heads, sequence, head_size]
        self._low.append(np.minimum(by_head.min(axis=(1, 2)), 0))
        self._high.append(np.maximum(by_head.max(axis=(1, 2)), 0))
        self._score_max.append(float(np.abs(by_head @ self._table.transpose(0, 2, 1)).max()))
        self._samples.append(by_head.transpose(1, 0, 2)[_space_evenly(by_head.shape[1])])

    def statistics(self) -> Statistics:
        low, high, score_max = np.stack(self._low), np.stack(self._high), np.array(self._score_max, np.float32)
        return TableStatistics(self._name, self._table, low, high, score_max, np.concatenate(self._samples))


def _space_evenly(rows: int) -> Array:
    """Return the indices of at most TOKENS_PER_ROW rows, evenly spaced, from the first to the last."""
    return np.linspace(0, rows - 1, min(TOKENS_PER_ROW, rows)).astype(int)


class _Observed(Precision):
    """Float32, with the input of every linear layer and table of positions as an extra output of the graph."""

    def __init__(self) -> None:
        self.gatherers: dict[str, _LayerGatherer | _TableGatherer] = {}

    def linear(self, net: GraphWriter, x: ir.Value, name: str, weight: Array, bias: Array | None) -> ir.Value:
        path = net.path(name)
        self.gatherers[path] = _LayerGatherer(path, weight, bias)
        net.observe(path, x)
        return super().linear(net, x, name, weight, bias)

    def table_products(self, net: GraphWriter, x: ir.Value, name: str, table: Array) -> TableProducts:
        path = net.path(name)
        self.gatherers[path] = _TableGatherer(path, table)
        net.observe(path, x)
        return super().table_products(net, x, name, table)
