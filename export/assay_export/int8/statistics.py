"""What reaches each linear layer on calibration text: ranges per input channel, and a sample of rows.

The float32 graph is written once more with the input of every linear layer as an extra output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime

from ..net import Array, Dialect, Net, Precision
from ..reference import Feed
from ..weights import WeightFile

# Tokens kept of each calibration row, evenly spaced: enough rows together to measure a layer's error with.
TOKENS_PER_ROW = 8


@dataclass
class LayerStatistics:
    """One linear layer: its weight [in, out] and bias, and its inputs on calibration text."""

    name: str
    weight: Array
    bias: Array | None
    channel_max: Array  # max |x| per input channel over every token, float32 [in]
    sample: Array  # some rows of x, float32 [rows, in]


def collect(
    architecture: Any,
    settings: Any,
    weights: dict[str, Array],
    feeds: Sequence[Feed],
    folder: Path,
    advance: Callable[[], None] = lambda: None,
) -> dict[str, LayerStatistics]:
    """Runs the float32 cpu graph on `feeds` (batches of one) and gathers every linear layer's inputs, by layer name."""
    observed = _Observed()
    layers = observed.layers
    with WeightFile(folder / "observed.onnx_data") as weight_file:
        net = Net("observed", Dialect.CPU, weight_file, observed)
        ir.save(architecture.author(net, settings, weights), folder / "observed.onnx")
    session = onnxruntime.InferenceSession(folder / "observed.onnx", providers=["CPUExecutionProvider"])
    samples: dict[str, list[Array]] = {name: [] for name in layers}
    for feed in feeds:
        inputs = session.run(list(layers), {"input_ids": feed["input_ids"]})
        for (name, layer), x in zip(layers.items(), inputs, strict=True):
            rows = x.reshape(-1, x.shape[-1])
            layer.channel_max = np.maximum(layer.channel_max, np.abs(rows).max(axis=0))
            samples[name].append(rows[np.linspace(0, len(rows) - 1, min(TOKENS_PER_ROW, len(rows))).astype(int)])
        advance()
    for name, layer in layers.items():
        layer.sample = np.concatenate(samples[name])
    return layers


class _Observed(Precision):
    """Float32, with the input of every linear layer made an output of the graph."""

    def __init__(self) -> None:
        self.layers: dict[str, LayerStatistics] = {}

    def linear(self, net: Net, x: ir.Value, name: str, weight: Array, bias: Array | None) -> ir.Value:
        path, nothing = net.path(name), np.zeros(len(weight), np.float32)
        self.layers[path] = LayerStatistics(path, weight, bias, nothing, nothing[None, :0])
        net.observe(path, x)
        return super().linear(net, x, name, weight, bias)
