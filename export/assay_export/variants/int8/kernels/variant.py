"""The variant int8 of a bundle, from calibration rows to the manifest's entry."""

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from assay.ort import kernels
from assay_export.checkpoint.reference import Feed
from assay_export.graphs import cpu_session
from assay_export.graphs.architecture import Architecture, Settings
from assay_export.graphs.entry import list_inputs, make_entry
from assay_export.graphs.kernels.packing import pack_feeds
from assay_export.graphs.net import Net
from assay_export.graphs.weights import WeightFile
from assay_export.graphs.writer import Array, Dialect
from assay_export.variants.int8 import gate
from assay_export.variants.int8.calibration import calibrate
from assay_export.variants.int8.kernels.damage import measure_damage
from assay_export.variants.int8.kernels.graph import KernelInt8
from assay_export.variants.int8.kernels.plan import Plan, search
from assay_export.variants.int8.kernels.remedies import Line, Remedy, attention_line, embedding_line, linear_line
from assay_export.variants.int8.linear import Recipe
from assay_export.variants.int8.statistics import LayerStatistics
from assay_export.variants.material import Material

__all__ = ["FILE", "run_packed", "save", "write"]

FILE = "onnx/model_int8.onnx"
# Rows in one call of the gate. An answer does not depend on it.
TOKENS_PER_CALL = 2_048
# Measuring damage runs once per layer: this many rows, cut to this many tokens.
DAMAGE_ROWS, DAMAGE_TOKENS = 16, 48


def write(material: Material) -> dict[str, Any]:
    """Write the int8 graph for assay-kernels, and return its entry in the manifest by dialect.

    Raises:
        ParityError: no graph with a layer in int8 passes the gate.
    """
    calibration = material.share(calibrate)
    feeds, expected, middle = calibration.feeds, calibration.expected, calibration.searched
    path, activation = material.folder / FILE, material.head.measure
    weights = material.loaded.reference.weights()
    lines = _lines(material)
    with (
        tempfile.TemporaryDirectory(prefix="int8-", dir=path.parent) as scratch,
        material.progress.bar("Measuring what each layer does to the answers in int8", len(lines)) as advance,
    ):
        first = {line.name: line.remedies[0].recipe for line in lines}
        longest = _longest(feeds[:middle], DAMAGE_ROWS)
        packed = pack_feeds([{name: x[:, :DAMAGE_TOKENS] for name, x in feed.items()} for feed in longest])
        damage = measure_damage(
            material.architecture, material.settings, weights, first, packed, Path(scratch), advance
        )
    for line in lines:
        line.damage = damage[line.name]

    def evaluate(part: slice) -> Callable[[Mapping[str, Recipe]], dict[str, Any]]:
        def run(recipes: Mapping[str, Recipe]) -> dict[str, Any]:
            save(material.architecture, material.settings, weights, recipes, path)
            return gate.measure(run_packed(path, feeds[part]), expected[part], activation)

        return run

    with material.progress.step("Searching the fastest int8 graph that passes its gate"):
        plan, report = search(lines, evaluate(slice(middle)), evaluate(slice(middle, None)), material.limits)
        save(material.architecture, material.settings, weights, plan.recipes, path)
    report |= {
        "summary": f"{gate.describe(report)}; {_describe(plan)}",
        "worst_text": list(calibration.rows[middle + report["worst_row"]]),
        "instruction_set": kernels.read_instruction_set(),
        "time_over_plain_int8": round(plan.time_over_plain, 3),
    }
    inputs = list_inputs(Dialect.KERNELS, material.inputs)
    graph = make_entry(Dialect.KERNELS, FILE, [f"{FILE}_data"], inputs) | {
        "parity": report,
        "layers": [_entry(line, remedy) for line, remedy in zip(plan.lines, plan.remedies, strict=True)],
    }
    return {Dialect.KERNELS.value: graph}


def save(
    architecture: Architecture,
    settings: Settings,
    weights: Mapping[str, Array],
    recipes: Mapping[str, Recipe],
    path: Path,
) -> None:
    """Write the graph and its external weights at `path`, each layer by its recipe."""
    absorbed = {name: r.smoothing for name, r in recipes.items() if r.smoothing is not None}
    with WeightFile(path.with_name(f"{path.name}_data")) as weight_file:
        net = Net(architecture.ARCHITECTURE, Dialect.KERNELS, weight_file, KernelInt8(recipes))
        ir.save(architecture.author(net, settings, architecture.absorb(settings, weights, absorbed)), path)


def run_packed(path: Path, feeds: Sequence[Feed]) -> Array:
    """Run a graph on feeds of one row each, many rows to a call, and return logits [rows, labels]."""
    session = cpu_session.load(path, uses_kernels=True)
    answers = []
    call: list[Feed] = []
    tokens = 0
    for index, feed in enumerate(feeds):
        call.append(feed)
        tokens += feed["input_ids"].size
        if tokens >= TOKENS_PER_CALL or index == len(feeds) - 1:
            answers.append(session.run(["logits"], pack_feeds(call))[0])
            call, tokens = [], 0
    return np.concatenate(answers)


def _lines(material: Material) -> list[Line]:
    absorbable = material.architecture.absorbable(material.settings)
    layers = [layer for layer in material.share(calibrate).layers.values() if isinstance(layer, LayerStatistics)]
    lines = [linear_line(layer, layer.name in absorbable) for layer in layers]
    hidden_size = material.settings.hidden_size
    attention = [attention_line(f"{name}.attention", hidden_size) for name in material.settings.layer_names]
    return [*lines, *attention, embedding_line("embeddings.word", hidden_size)]


def _longest(feeds: Sequence[Feed], count: int) -> list[Feed]:
    """Select `count` of the longer rows, evenly among four times as many."""
    longest = sorted(feeds, key=lambda feed: feed["input_ids"].size)[-4 * count :]
    return longest[:: -(-len(longest) // count)]


def _describe(plan: Plan) -> str:
    kinds = Counter(_kind(remedy.recipe) for remedy in plan.remedies)
    return f"{plan.time_over_plain:.2f} of plain int8's time; layers: " + ", ".join(
        f"{n} {kind}" for kind, n in kinds.items()
    )


def _kind(recipe: Recipe) -> str:
    if recipe.kind != "int8":
        return recipe.kind
    parts = ["int8"]
    if recipe.group:
        parts.append(f"by groups of {recipe.group}")
    if recipe.columns:
        parts.append(f"with {len(recipe.columns)} fp32 columns")
    return " ".join(parts)


def _entry(line: Line, remedy: Remedy) -> dict[str, Any]:
    """Describe one layer for the manifest's table: its recipe, and why."""
    recipe = _kind(remedy.recipe)
    if remedy.recipe.smoothing is not None:
        recipe += ", smoothed"
    why = f"relative output error {remedy.error:.4f}"
    if remedy is not line.remedies[0]:
        why += (
            f", {line.remedies[0].error:.4f} as plain int8, which alone moves logits by {line.damage:.4f} in the mean"
        )
    return {"layer": line.name, "recipe": recipe, "why": why}
