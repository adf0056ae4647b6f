"""Write the fp16 graph of an architecture: the portable dialect with half-precision products.

Float16: the stored token embeddings, weights, biases and tables; everything from a linear layer's input to its output;
query, key, value, rotations, attention products and the feed-forward activation. Float32: the residual stream and its
norms, masks and softmax, the pooling head, the logits. A norm needs its input in float32 anyway, so a float32 residual
costs no more casts than a float16 one, and the largest activations of these models are in the residual. All casts are
written out, those around norms too: a strongly typed TensorRT network takes its precision from the types of its tensors
(NvInfer.h, setPrecision).

A group is one call of `Precision` (a linear layer, a table of positions) with every value that is computed from it
before the next group. A group may be left in float32, including its weights.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir

from assay_export.graphs.architecture import Architecture, Settings
from assay_export.graphs.net import Net
from assay_export.graphs.precision import Precision, TableProducts
from assay_export.graphs.weights import WeightFile
from assay_export.graphs.writer import MASKED, Array, Dialect, GraphWriter

__all__ = ["HALF", "HALF_MAX", "LARGEST", "Fp16", "author"]

HALF = ir.DataType.FLOAT16

HALF_MAX = float(np.finfo(np.float16).max)
"""65504, the largest float16 number."""

LARGEST = HALF_MAX / 4
"""The largest |value| in calibration that may be stored in float16. Other text may reach four times as far."""

HEAD = "head."


def author(
    architecture: Architecture,
    settings: Settings,
    weights: dict[str, Array],
    float32: Collection[str],
    path: Path,
    precision: "type[Fp16] | None" = None,
) -> "Fp16":
    """Write the fp16 graph and its external weights.

    Args:
        architecture: The architecture to write.
        settings: Its settings.
        weights: The checkpoint's weights by name, float32.
        float32: The groups to leave in float32.
        path: The .onnx file to write; the weights go to the same name with "_data" appended.
        precision: Makes the precision from the groups to leave in float32; by default Fp16.

    Returns:
        The precision that the graph was written with, which knows the graph's groups.
    """
    written = (precision or Fp16)(float32)
    with WeightFile(path.with_name(f"{path.name}_data")) as weight_file:
        net = Net(architecture.ARCHITECTURE, Dialect.PORTABLE, weight_file, written)
        model = architecture.author(net, settings, weights)
        written.attribute(model.graph)
        ir.save(model, path)
    return written


class Fp16(Precision):
    """Half precision, except for the head, weights that are too large, and the groups that stay in float32.

    Attributes:
        is_float16: Whether each group is in float16, by the group's name.
        weight_peaks: The largest |weight| of each group.
        groups_of: The groups that each float16 value of the graph is computed from, by the value's name; filled in by
            `attribute`.
        masked: The number added to the score of a key that must not be seen.
    """

    def __init__(self, float32: Collection[str] = ()) -> None:
        """Create a precision that leaves the groups named in `float32` in float32."""
        self._float32 = float32
        self.is_float16: dict[str, bool] = {}
        self.weight_peaks: dict[str, float] = {}
        self.groups_of: dict[str, set[str]] = {}
        self._written: dict[ir.Value, str] = {}
        # Masks are added in float32, where any large constant works. A constant within float16's range stays finite if
        # an engine computes in float16 anyway; but scores in float32 groups may be as large as that constant.
        self.masked = MASKED if float32 else -HALF_MAX

    def linear(self, net: GraphWriter, x: ir.Value, name: str, weight: Array, bias: Array | None) -> ir.Value:
        group = net.path(name)
        if group.startswith(HEAD) or not self._fits(group, weight, *([] if bias is None else [bias])):
            return super().linear(net, net.float32(x), name, weight, bias)
        half = self.half_input(net, group, x)
        product = self.write(group, net.op.MatMul(half, self.half_parameter(net, group, f"{name}.weight", weight)))
        if bias is None:
            return product
        return self.write(group, net.op.Add(product, self.half_parameter(net, group, f"{name}.bias", bias)))

    def embedding(self, net: GraphWriter, token_ids: ir.Value, name: str, table: Array) -> ir.Value:
        group = net.path(name)
        if not self._fits(group, table):
            return super().embedding(net, token_ids, name, table)
        return net.float32(self.write(group, net.op.Gather(self.half_parameter(net, group, name, table), token_ids)))

    def table(self, net: GraphWriter, name: str, array: Array) -> ir.Value:
        group = net.path(name)
        if not self._fits(group, array):
            return super().table(net, name, array)
        return self.write(group, self.half_parameter(net, group, name, array))

    def factor(self, net: GraphWriter, name: str, array: Array) -> ir.Value:
        return net.parameter(name, array.astype(np.float16))

    def table_products(self, net: GraphWriter, x: ir.Value, name: str, table: Array) -> TableProducts:
        group = net.path(name)
        if not self._fits(group, table) or x.dtype is not HALF:
            self.is_float16[group] = False
            return TableProducts(net, net.float32(x), name, table)
        return _HalfTableProducts(self, net, x, name, table)

    def half_input(self, net: GraphWriter, group: str, x: ir.Value) -> ir.Value:
        """Return the input of `group` in float16, which may need no cast."""
        half = net.cast(x, HALF)
        return half if half is x else self.write(group, half)

    def half_parameter(self, net: GraphWriter, group: str, name: str, array: Array) -> ir.Value:  # noqa: ARG002
        """Add a weight of `group` that is stored and used in float16."""
        return net.parameter(name, array.astype(np.float16))

    def _fits(self, group: str, *weights: Array) -> bool:
        """Decide by its name and weights whether the group is computed in float16, and record the decision."""
        peak = self.weight_peaks[group] = max(float(max(array.max(), -array.min())) for array in weights)
        self.is_float16[group] = group not in self._float32 and peak <= LARGEST
        return self.is_float16[group]

    def write(self, group: str, value: ir.Value) -> ir.Value:
        """Record that `value` belongs to `group`, and return it."""
        self._written[value] = group
        return value

    def attribute(self, graph: ir.Graph) -> None:
        """Fill in `groups_of`: a value that no group wrote belongs to the groups of its node's inputs."""
        groups: dict[ir.Value, set[str]] = {value: {group} for value, group in self._written.items()}
        for node in graph:
            inherited: set[str] = set().union(*(groups.get(value, set()) for value in node.inputs if value is not None))
            for value in node.outputs:
                if value.dtype is HALF:
                    groups.setdefault(value, inherited)
                    self.groups_of[str(value.name)] = groups[value]


class _HalfTableProducts(TableProducts):
    """Products with a table in float16. A sum of three terms within a quarter of float16's range cannot overflow."""

    def __init__(self, precision: Fp16, net: GraphWriter, x: ir.Value, name: str, table: Array) -> None:
        self._precision, self._group = precision, net.path(name)
        self.net, self.x = net, x
        self.table = precision.half_parameter(net, self._group, f"{name}.table", table)

    def multiply(self, x: ir.Value, table: ir.Value) -> ir.Value:
        return self._precision.write(self._group, super().multiply(x, table))

    def sum(self, products: Sequence[ir.Value]) -> ir.Value:
        return self._precision.write(self._group, super().sum(products))
