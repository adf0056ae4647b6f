"""How much each layer alone, computed in int8, changes the answers.

One graph holds every linear layer twice, in float32 and in int8, and an extra input chooses between them: so that one
session answers for every layer, and nothing is written anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime

from ..net import Array, Dialect, Net, Precision
from ..reference import Feed
from ..weights import WeightFile
from . import linear
from .linear import Recipe


def rank(
    architecture: Any,
    settings: Any,
    weights: Mapping[str, Array],
    recipes: Mapping[str, Recipe],
    feeds: Sequence[Feed],
    folder: Path,
    advance: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Mean |delta logit| over `feeds` with one layer at a time as its recipe says and all others in float32.

    Smoothing is written as an explicit division here, whether or not the bundle's graph absorbs it.
    """
    names = list(recipes)

    path = folder / "damage.onnx"
    with WeightFile(path.with_name(f"{path.name}_data")) as weight_file:
        both = _Both(recipes)
        net = Net("damage", Dialect.CPU, weight_file, both)
        both.switch = net.builder.input("quantised", ir.DataType.BOOL, [len(names)])
        ir.save(architecture.author(net, settings, weights), path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def answers(chosen: Array) -> Array:
        logits = [session.run(["logits"], {"input_ids": f["input_ids"], "quantised": chosen})[0] for f in feeds]
        return np.concatenate(logits)

    exact = answers(np.zeros(len(names), bool))
    result = {}
    for index, name in enumerate(names):
        result[name] = float(np.abs(answers(np.eye(len(names), dtype=bool)[index]) - exact).mean())
        advance()
    return result


class _Both(Precision):
    """Every linear layer in float32 and by its recipe, chosen by `switch`, a graph input bool [layers]."""

    switch: ir.Value

    def __init__(self, recipes: Mapping[str, Recipe]) -> None:
        self._recipes = recipes
        self._names = list(recipes)

    def linear(self, net: Net, x: ir.Value, name: str, weight: Array, bias: Array | None) -> ir.Value:
        path = net.path(name)
        recipe = replace(self._recipes[path], absorbed=False)
        exact = super().linear(net, x, f"{name}.exact", weight, bias)
        quantised = linear.write(net, x, name, weight, bias, recipe)
        chosen = net.op.Gather(self.switch, net.op.Constant(value_int=self._names.index(path)))
        return net.op.Where(chosen, quantised, exact)
