"""What reaches each linear layer and table of positions on calibration text: ranges, and a sample of tokens.

The float32 graph is written once more with the input of each as an extra output.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from assay_export.checkpoint.reference import Feed
from assay_export.graphs import cpu_session
from assay_export.graphs.net import Net
from assay_export.graphs.precision import Precision, TableProducts
from assay_export.graphs.weights import WeightFile
from assay_export.graphs.writer import Array, Dialect, GraphWriter

# Tokens kept of each calibration row, evenly spaced: enough rows together to measure a layer's error with.
TOKENS_PER_ROW = 8


@dataclass
class LayerStatistics:
    """One linear layer: its weight [in, out] and bias, and its inputs on calibration text."""

    name: str
    weight: Array
    bias: Array | None
    channel_max: Array  # max |x| per input channel over every token, float32 [in]
    sample: Array  # some tokens' x, float32 [tokens, in]
    peaks: Array  # of each calibration row, the token with the largest |x|, float32 [rows, in]


@dataclass
class TableStatistics:
    """A table of positions [heads, table rows, head_size], and what is multiplied with it on calibration text."""

    name: str
    table: Array
    low: Array  # least x by calibration row, and 0 at most, float32 [rows, heads]
    high: Array  # greatest x, and 0 at least, float32 [rows, heads]
    score_max: Array  # greatest |score| with any table row, float32 [rows]
    sample: Array  # some tokens of x, float32 [tokens, heads, head_size]


Statistics = LayerStatistics | TableStatistics


def collect(
    architecture: Any,
    settings: Any,
    weights: dict[str, Array],
    feeds: Sequence[Feed],
    folder: Path,
    advance: Callable[[], None] = lambda: None,
) -> dict[str, Statistics]:
    """Runs the float32 cpu graph on `feeds` (batches of one) and gathers what every linear layer and table of positions
    is multiplied with, by name."""
    observed = _Observed()
    with WeightFile(folder / "observed.onnx_data") as weight_file:
        net = Net("observed", Dialect.CPU, weight_file, observed)
        ir.save(architecture.author(net, settings, weights), folder / "observed.onnx")
    session = cpu_session.load(folder / "observed.onnx")
    gatherers = observed.gatherers
    for feed in feeds:
        inputs = session.run(list(gatherers), {"input_ids": feed["input_ids"]})
        for gatherer, x in zip(gatherers.values(), inputs, strict=True):
            gatherer.add(x)
        advance()
    return {name: gatherer.statistics() for name, gatherer in gatherers.items()}


class _LayerGatherer:
    def __init__(self, name: str, weight: Array, bias: Array | None) -> None:
        self._name, self._weight, self._bias = name, weight, bias
        self._channel_max = np.zeros(len(weight), np.float32)
        self._samples: list[Array] = []
        self._peaks: list[Array] = []

    def add(self, x: Array) -> None:
        rows = x.reshape(-1, x.shape[-1])
        size = np.abs(rows)
        self._channel_max = np.maximum(self._channel_max, size.max(axis=0))
        self._samples.append(rows[_evenly(len(rows))])
        self._peaks.append(rows[size.max(axis=1).argmax()])

    def statistics(self) -> Statistics:
        sample, peaks = np.concatenate(self._samples), np.stack(self._peaks)
        return LayerStatistics(self._name, self._weight, self._bias, self._channel_max, sample, peaks)


class _TableGatherer:
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
        self._samples.append(by_head.transpose(1, 0, 2)[_evenly(by_head.shape[1])])

    def statistics(self) -> Statistics:
        low, high, score_max = np.stack(self._low), np.stack(self._high), np.array(self._score_max, np.float32)
        return TableStatistics(self._name, self._table, low, high, score_max, np.concatenate(self._samples))


def _evenly(rows: int) -> Array:
    """Indices of TOKENS_PER_ROW rows or all of fewer, the first and the last among them."""
    return np.linspace(0, rows - 1, min(TOKENS_PER_ROW, rows)).astype(int)


class _Observed(Precision):
    """Float32, with the input of every linear layer and table of positions made an output of the graph."""

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
