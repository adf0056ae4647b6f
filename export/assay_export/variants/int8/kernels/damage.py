"""Measure how much each layer alone, computed in int8 by the kernels, changes the answers.

One graph has every layer twice, in float32 and in int8, and an extra input chooses between them, so that one session
answers for every layer.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir

from assay_export.graphs import cpu_session
from assay_export.graphs.architecture import Architecture, Settings
from assay_export.graphs.net import Net
from assay_export.graphs.precision import Precision
from assay_export.graphs.weights import WeightFile
from assay_export.graphs.writer import Array, Dialect, Fusion, GraphWriter, Norm
from assay_export.variants.int8.kernels.graph import KernelInt8
from assay_export.variants.int8.linear import Recipe

__all__ = ["measure_damage"]


def measure_damage(
    architecture: Architecture,
    settings: Settings,
    weights: Mapping[str, Array],
    recipes: Mapping[str, Recipe],
    feed: Mapping[str, Array],
    folder: Path,
    advance: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Measure mean |delta logit| on the packed rows of `feed`, with one layer at a time by its recipe.

    All other layers are in float32.
    """
    names = list(recipes)
    absorbed = {name: r.smoothing for name, r in recipes.items() if r.smoothing is not None}
    path = folder / "damage.onnx"
    with WeightFile(path.with_name(f"{path.name}_data")) as weight_file:
        both = _Both(recipes)
        net = Net("damage", Dialect.KERNELS, weight_file, both)
        both.switch = net.builder.input("quantised", ir.DataType.BOOL, [len(names)])
        ir.save(architecture.author(net, settings, architecture.absorb(settings, weights, absorbed)), path)
    session = cpu_session.load(path, uses_kernels=True)

    def answer(quantised: Array) -> Array:
        logits: Array = session.run(["logits"], {**feed, "quantised": quantised})[0]
        return logits

    exact = answer(np.zeros(len(names), bool))
    damage = {}
    for index, name in enumerate(names):
        damage[name] = float(np.abs(answer(np.arange(len(names)) == index) - exact).mean())
        advance()
    return damage


class _Both(KernelInt8):
    """Every layer in float32 and by its recipe, chosen by `switch`, a graph input bool [layers]."""

    switch: ir.Value

    def __init__(self, recipes: Mapping[str, Recipe]) -> None:
        super().__init__(recipes)
        self._names: Sequence[str] = list(recipes)

    def fused_linear(
        self, net: GraphWriter, x: ir.Value, name: str, weight: Array, bias: Array | None, fusion: Fusion
    ) -> ir.Value:
        path = net.path(name)
        if self._recipes[path].kind == "fp32":
            return super().fused_linear(net, x, name, weight, bias, fusion)
        quantised = super().fused_linear(net, x, name, weight, bias, fusion)
        smoothing = self._recipes[path].smoothing
        exact_weight = weight if smoothing is None else weight * smoothing[:, None]
        with net.scope("exact"):
            exact = Precision.fused_linear(self, net, x, name, exact_weight, bias, fusion)
        return self._choose(net, path, quantised, exact)

    def normed_embedding(self, net: GraphWriter, token_ids: ir.Value, name: str, table: Array, norm: Norm) -> ir.Value:
        quantised = super().normed_embedding(net, token_ids, name, table, norm)
        with net.scope("exact"):
            exact = net.norm(Precision.embedding(self, net, token_ids, name, table), norm)
        return self._choose(net, net.path(name), quantised, exact)

    def embedding(self, net: GraphWriter, token_ids: ir.Value, name: str, table: Array) -> ir.Value:
        quantised = super().embedding(net, token_ids, name, table)
        with net.scope("exact"):
            exact = Precision.embedding(self, net, token_ids, name, table)
        return self._choose(net, net.path(name), quantised, exact)

    def attention(self, net: GraphWriter, name: str, write: Callable[[str], ir.Value]) -> ir.Value:
        return self._choose(net, net.path(name), write("int8"), write("float32"))

    def _choose(self, net: GraphWriter, path: str, quantised: ir.Value, exact: ir.Value) -> ir.Value:
        index = net.op.Constant(value_int=self._names.index(path))
        chosen = net.op.Where(net.op.Gather(self.switch, index), quantised, exact)
        chosen.shape, chosen.type = exact.shape, exact.type
        return chosen
