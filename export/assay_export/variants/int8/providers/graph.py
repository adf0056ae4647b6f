"""Write an int8 graph of an architecture, each layer by its recipe.

`Int8` is the precision of the variant int8_ort, in the cpu dialect. That of int8_qdq is in qdq.py.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import onnx_ir as ir

from assay_export.graphs.architecture import Architecture, Settings
from assay_export.graphs.net import Net
from assay_export.graphs.precision import Precision, TableProducts
from assay_export.graphs.weights import WeightFile
from assay_export.graphs.writer import Array, Dialect, GraphWriter
from assay_export.variants.int8 import linear
from assay_export.variants.int8.linear import Recipe
from assay_export.variants.int8.providers.positions import Int8TableProducts

__all__ = ["Int8", "save"]


def save(
    architecture: Architecture,
    settings: Settings,
    weights: Mapping[str, Array],
    recipes: Mapping[str, Recipe],
    path: Path,
    dialect: Dialect = Dialect.CPU,
    precision: Callable[[Mapping[str, Recipe]], Precision] | None = None,
) -> None:
    """Write the graph and its external weights.

    Args:
        architecture: The architecture to write.
        settings: Its settings.
        weights: The checkpoint's weights by name, float32.
        recipes: The recipe of every linear layer and table of positions, by name.
        path: The .onnx file to write; the weights go to the same name with "_data" appended.
        dialect: The graph's dialect.
        precision: Makes the precision of the graph from the recipes; by default Int8.
    """
    absorbed = {name: r.smoothing for name, r in recipes.items() if r.absorbed and r.smoothing is not None}
    weights = architecture.absorb(settings, weights, absorbed)

    with WeightFile(path.with_name(f"{path.name}_data")) as weight_file:
        net = Net(architecture.ARCHITECTURE, dialect, weight_file, (precision or Int8)(recipes))
        ir.save(architecture.author(net, settings, weights), path)


class Int8(Precision):
    """Linear layers and products with tables of positions by their recipes; embeddings in int8 with a scale per row."""

    def __init__(self, recipes: Mapping[str, Recipe]) -> None:
        self._recipes = recipes

    def linear(self, net: GraphWriter, x: ir.Value, name: str, weight: Array, bias: Array | None) -> ir.Value:
        return linear.write(net, x, name, weight, bias, self._recipes[net.path(name)])

    def linear_parts(
        self, net: GraphWriter, x: ir.Value, name: str, weight: Array, bias: Array | None, parts: int
    ) -> Sequence[ir.Value]:
        recipe = self._recipes[net.path(name)]
        if recipe.kind == "int8":
            return linear.write_parts(net, x, name, weight, bias, parts, recipe)
        return super().linear_parts(net, x, name, weight, bias, parts)

    def embedding(self, net: GraphWriter, token_ids: ir.Value, name: str, table: Array) -> ir.Value:
        op = net.op
        values, scale = linear.quantise_rows(table)
        rows = op.Cast(op.Gather(net.parameter(name, values), token_ids), to=ir.DataType.FLOAT)
        return op.Mul(rows, op.Gather(net.parameter(f"{name}.scale", scale), token_ids))

    def table(self, net: GraphWriter, name: str, array: Array) -> ir.Value:
        # ONNX Runtime folds this into a float32 constant when it loads the graph, so it is int8 on disk and float32 in
        # memory.
        values, scale = linear.quantise_rows(array.reshape(-1, array.shape[-1]))
        rows = net.op.Cast(net.parameter(name, values.reshape(array.shape)), to=ir.DataType.FLOAT)
        return net.op.Mul(rows, net.parameter(f"{name}.scale", scale.reshape(*array.shape[:-1], 1)))

    def table_products(self, net: GraphWriter, x: ir.Value, name: str, table: Array) -> TableProducts:
        recipe = self._recipes[net.path(name)]
        if recipe.kind == "int8":
            return Int8TableProducts(net, x, name, table, recipe.score_reach)
        return super().table_products(net, x, name, table)
