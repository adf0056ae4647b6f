"""Writes the fp16 graph of an architecture: the portable dialect with half-precision products.

Float16: token embeddings, weights, biases and tables as stored; everything from a linear layer's input to its output;
query, key, value, rotations, attention products and the feed-forward activation. Float32: the residual stream and its
norms, masks and softmax, the pooling head, the logits. A norm needs its input in float32 anyway, so a float32 residual
costs no cast more than a float16 one would, and the largest activations of these models live there. Casts are written
out, norms' too: the precision of a strongly typed TensorRT network is that of its tensors (NvInfer.h, setPrecision).

A group is what one call of the seam writes (a linear layer, a table of positions), with all that follows from it up to
the next group. A group in `float32` is left in float32, its weights as well.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from assay_export.graphs.net import Net
from assay_export.graphs.precision import Precision, TableProducts
from assay_export.graphs.weights import WeightFile
from assay_export.graphs.writer import MASKED, Array, Dialect, GraphWriter

HALF = ir.DataType.FLOAT16
HALF_MAX = float(np.finfo(np.float16).max)  # 65504
# Calibration text is not all text: a value may be four times what was seen.
LARGEST = HALF_MAX / 4
HEAD = "head."


def author(architecture: Any, settings: Any, weights: dict[str, Array], float32: Collection[str], path: Path) -> "Fp16":
    """Writes `path` and its external weights, the groups of `float32` in float32; returns what it was written with."""
    precision = Fp16(float32)
    with WeightFile(path.with_name(f"{path.name}_data")) as weight_file:
        net = Net(architecture.ARCHITECTURE, Dialect.PORTABLE, weight_file, precision)
        model = architecture.author(net, settings, weights)
        precision.attribute(model.graph)
        ir.save(model, path)
    return precision


class Fp16(Precision):
    """Half precision, but for the groups named in `float32`, the head, and weights that are too large."""

    def __init__(self, float32: Collection[str] = ()) -> None:
        self._float32 = float32
        #: Every group written, and whether in float16.
        self.is_float16: dict[str, bool] = {}
        self.weight_peaks: dict[str, float] = {}  # group to its largest |weight|
        #: Name of every float16 value of the graph to the groups that it follows from, filled in by `attribute`.
        self.groups_of: dict[str, set[str]] = {}
        self._written: dict[ir.Value, str] = {}
        # A mask is added in float32, where any constant will do. One that float16 can hold stays finite if an engine
        # computes in float16 all the same; but scores in float32 groups may be as large as itself.
        self.masked = MASKED if float32 else -HALF_MAX

    def linear(self, net: GraphWriter, x: ir.Value, name: str, weight: Array, bias: Array | None) -> ir.Value:
        group = net.path(name)
        if group.startswith(HEAD) or not self._fits(group, weight, *([] if bias is None else [bias])):
            return super().linear(net, net.float32(x), name, weight, bias)
        half = net.cast(x, HALF)
        if half is not x:
            self.write(group, half)
        product = self.write(group, net.op.MatMul(half, half_parameter(net, f"{name}.weight", weight)))
        if bias is None:
            return product
        return self.write(group, net.op.Add(product, half_parameter(net, f"{name}.bias", bias)))

    def embedding(self, net: GraphWriter, token_ids: ir.Value, name: str, table: Array) -> ir.Value:
        group = net.path(name)
        if not self._fits(group, table):
            return super().embedding(net, token_ids, name, table)
        return net.float32(self.write(group, net.op.Gather(half_parameter(net, name, table), token_ids)))

    def table(self, net: GraphWriter, name: str, array: Array) -> ir.Value:
        group = net.path(name)
        if not self._fits(group, array):
            return super().table(net, name, array)
        return self.write(group, half_parameter(net, name, array))

    def factor(self, net: GraphWriter, name: str, array: Array) -> ir.Value:
        return half_parameter(net, name, array)

    def table_products(self, net: GraphWriter, x: ir.Value, name: str, table: Array) -> TableProducts:
        group = net.path(name)
        if not self._fits(group, table) or x.dtype is not HALF:
            self.is_float16[group] = False
            return TableProducts(net, net.float32(x), name, table)
        return _HalfTableProducts(self, net, x, name, table)

    def _fits(self, group: str, *weights: Array) -> bool:
        """Whether the group is computed in float16, by its name and its weights."""
        peak = self.weight_peaks[group] = max(float(max(array.max(), -array.min())) for array in weights)
        self.is_float16[group] = group not in self._float32 and peak <= LARGEST
        return self.is_float16[group]

    def write(self, group: str, value: ir.Value) -> ir.Value:
        """Notes that `value` is of `group`."""
        self._written[value] = group
        return value

    def attribute(self, graph: ir.Graph) -> None:
        """Fills in `groups_of`: values that no group wrote follow from those of their inputs."""
        groups: dict[ir.Value, set[str]] = {value: {group} for value, group in self._written.items()}
        for node in graph:
            inherited: set[str] = set().union(*(groups.get(value, set()) for value in node.inputs if value is not None))
            for value in node.outputs:
                if value.dtype is HALF:
                    groups.setdefault(value, inherited)
                    self.groups_of[str(value.name)] = groups[value]


class _HalfTableProducts(TableProducts):
    """Products with a table in float16. Three terms of a quarter of float16's range each cannot overflow as a sum."""

    def __init__(self, precision: Fp16, net: GraphWriter, x: ir.Value, name: str, table: Array) -> None:
        self._precision, self._group = precision, net.path(name)
        self.net, self.x = net, x
        self.table = half_parameter(net, f"{name}.table", table)

    def multiply(self, x: ir.Value, table: ir.Value) -> ir.Value:
        return self._precision.write(self._group, super().multiply(x, table))

    def sum(self, products: Sequence[ir.Value]) -> ir.Value:
        return self._precision.write(self._group, super().sum(products))


def half_parameter(net: GraphWriter, name: str, array: Array) -> ir.Value:
    """A weight that is stored and used in float16."""
    return net.parameter(name, array.astype(np.float16))
