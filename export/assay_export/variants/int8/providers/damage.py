"""Measure how much each layer, computed in int8 alone, changes the answers.

One graph contains every layer twice, in float32 and in int8, and an extra input chooses between them. So one session
measures all layers, without writing a graph for each.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir

from assay_export.graphs import cpu_session
from assay_export.graphs.architecture import Architecture, Settings
from assay_export.graphs.net import Net
from assay_export.graphs.precision import Precision, TableProducts
from assay_export.graphs.weights import WeightFile
from assay_export.graphs.writer import Array, Dialect, GraphWriter
from assay_export.variants.int8 import linear
from assay_export.variants.int8.linear import Recipe
from assay_export.variants.int8.providers.positions import SimulatedTableProducts

__all__ = ["Write", "rank"]

# Writes a linear layer by its recipe: linear.write, or another variant's counterpart.
Write = Callable[[GraphWriter, ir.Value, str, Array, Array | None, Recipe], ir.Value]


def rank(
    architecture: Architecture,
    settings: Settings,
    weights: Mapping[str, Array],
    recipes: Mapping[str, Recipe],
    feed: Mapping[str, Array],
    folder: Path,
    advance: Callable[[], None] = lambda: None,
    write: Write = linear.write,
) -> dict[str, float]:
    """Measure the damage of each layer alone: by its recipe, with all other layers in float32.

    Smoothing is written as a division here, whether or not the bundle's graph absorbs it.

    Args:
        architecture: The architecture to write.
        settings: Its settings.
        weights: The checkpoint's weights by name, float32.
        recipes: The recipe of each linear layer and table of positions.
        feed: The inputs of the PyTorch model to measure on, int64 [batch, sequence].
        folder: Where to write the graph.
        advance: Called after each layer.
        write: Writes a linear layer by its recipe.

    Returns:
        Mean |delta logit| by the names of the layers.
    """
    names = list(recipes)
    balanced = {name: r.smoothing for name, r in recipes.items() if r.score_reach and r.smoothing is not None}
    weights = architecture.absorb(settings, weights, balanced)

    path = folder / "damage.onnx"
    with WeightFile(path.with_name(f"{path.name}_data")) as weight_file:
        both = _Both(recipes, write)
        net = Net("damage", Dialect.CPU, weight_file, both)
        both.switch = net.builder.input("quantised", ir.DataType.BOOL, [len(names)])
        ir.save(architecture.author(net, settings, weights), path)
    session = cpu_session.load(path)

    def answers(chosen: Array) -> Array:
        logits: Array = session.run(["logits"], cpu_session.select_inputs(session, {**feed, "quantised": chosen}))[0]
        return logits

    exact = answers(np.zeros(len(names), bool))
    result = {}
    for index, name in enumerate(names):
        result[name] = float(np.abs(answers(np.eye(len(names), dtype=bool)[index]) - exact).mean())
        advance()
    return result


class _Both(Precision):
    """Every layer both in float32 and by its recipe. `switch`, a graph input bool [layers], chooses between them."""

    switch: ir.Value

    def __init__(self, recipes: Mapping[str, Recipe], write: Write) -> None:
        self._recipes = recipes
        self._write = write
        self._names = list(recipes)

    def linear(self, net: GraphWriter, x: ir.Value, name: str, weight: Array, bias: Array | None) -> ir.Value:
        path = net.path(name)
        recipe = replace(self._recipes[path], absorbed=False)
        exact = super().linear(net, x, f"{name}.exact", weight, bias)
        quantised = self._write(net, x, name, weight, bias, recipe)
        return net.op.Where(self._chosen(net, path), quantised, exact)

    def table_products(self, net: GraphWriter, x: ir.Value, name: str, table: Array) -> TableProducts:
        path = net.path(name)
        recipe = self._recipes[path]
        if recipe.kind == "fp32":
            return super().table_products(net, x, name, table)
        return SimulatedTableProducts(net, x, name, table, recipe.score_reach, self._chosen(net, path))

    def _chosen(self, net: GraphWriter, path: str) -> ir.Value:
        return net.op.Gather(self.switch, net.op.Constant(value_int=self._names.index(path)))
