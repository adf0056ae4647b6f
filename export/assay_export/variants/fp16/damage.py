"""Measure how much each group of the fp16 graph, in float16 alone, changes the answers.

One emulated graph has a switch for each group, which rounds the group's weights and values to float16. So one session
measures all groups, without writing a graph for each.
"""

from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
import onnx_ir as ir

from assay_export.checkpoint.reference import Feed
from assay_export.graphs import cpu_session
from assay_export.graphs.architecture import Architecture, Settings
from assay_export.graphs.writer import Array, GraphWriter
from assay_export.variants.fp16 import emulation
from assay_export.variants.fp16.graph import HALF, Fp16, author

__all__ = ["measure_damage"]


def measure_damage(
    architecture: Architecture,
    settings: Settings,
    weights: dict[str, Array],
    float32: Collection[str],
    feed: Feed,
    folder: Path,
    advance: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Measure the damage of each group alone: in float16, with all other groups in float32.

    Args:
        architecture: The architecture to write.
        settings: Its settings.
        weights: The checkpoint's weights by name, float32.
        float32: The groups that stay in float32 in any case; they are not measured.
        feed: The inputs of the graph to measure on, by name, int64 [batch, sequence].
        folder: Where to write the graphs.
        advance: Called after each group.

    Returns:
        The root mean square of the |delta logit|, by the names of the groups that are in float16.
    """
    path = folder / "damage.onnx"
    precision = author(architecture, settings, weights, float32, path, _Fp16WithFloat32Weights)
    names = [name for name, is_float16 in precision.is_float16.items() if is_float16]
    switches = {value: {names.index(group) for group in groups} for value, groups in precision.groups_of.items()}
    switched = folder / "damage.switched.onnx"
    emulation.write(path, switched, rounded=True, switches=switches)
    session = cpu_session.load(switched)

    def run(rounded: Array) -> Array:
        logits: Array = session.run(["logits"], {**feed, emulation.SWITCH: rounded})[0]
        return logits.astype(np.float64)

    exact = run(np.zeros(len(names), bool))
    damage = {}
    for index, name in enumerate(names):
        delta = run(np.arange(len(names)) == index) - exact
        damage[name] = float(np.sqrt(np.square(delta).mean()))
        advance()
    return damage


class _Fp16WithFloat32Weights(Fp16):
    """The fp16 graph with a cast to float16 for every weight, which is stored in float32, and for every layer's input.

    So all rounding that belongs to a group can be switched on and off, also where the group reads a float16 value that
    another group has computed.
    """

    def half_input(self, net: GraphWriter, group: str, x: ir.Value) -> ir.Value:
        return self.write(group, net.op.Cast(x, to=HALF))

    def half_parameter(self, net: GraphWriter, group: str, name: str, array: Array) -> ir.Value:
        return self.write(group, net.cast(net.parameter(name, array), HALF))

    def embedding(self, net: GraphWriter, token_ids: ir.Value, name: str, table: Array) -> ir.Value:
        group = net.path(name)
        if not self._fits(group, table):
            return super().embedding(net, token_ids, name, table)
        # Only the rows of the tokens are cast, not the whole table.
        rows = net.op.Gather(net.parameter(name, table), token_ids)
        return net.float32(self.write(group, net.cast(rows, HALF)))
