"""An int8 variant of a bundle: search the recipe of every layer, write the graph, and check it at the gate."""

import functools
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay.ort.batching import INT8_TOKENS_PER_CALL
from assay_export.graphs.entry import list_inputs, make_entry
from assay_export.variants.batch import make_batch
from assay_export.variants.int8 import gate
from assay_export.variants.int8.calibration import Calibration, calibrate
from assay_export.variants.int8.linear import Recipe
from assay_export.variants.int8.providers import damage, graph
from assay_export.variants.int8.providers.schemes import GRAPH_OPTIMIZATION, Scheme
from assay_export.variants.int8.providers.search import Ladder, search
from assay_export.variants.material import Material

__all__ = ["write"]

# The graph that ranks the layers runs as often as there are layers, so its batch is small: [rows, tokens].
DAMAGE_ROWS, DAMAGE_TOKENS = 8, 32


def write(scheme: Scheme, material: Material) -> dict[str, Any]:
    """Write the variant's graph with its weights, and return the manifest's graphs by dialect.

    Raises:
        ParityError: No mixture of recipes passes the gate.
    """
    calibration = material.share(calibrate)
    file = f"onnx/model_{scheme.variant}.onnx"
    path, progress, limits = material.folder / file, material.progress, material.limits
    feeds, expected, middle = calibration.feeds, calibration.expected, calibration.searched
    activation = material.head.measure
    ladders = _fit(scheme, material, calibration)
    evaluate = functools.partial(_evaluate, scheme, material, calibration, path)
    with progress.step(f"Checking {scheme.variant} against its gate"):
        report = search(
            ladders,
            functools.partial(evaluate, slice(middle)),
            functools.partial(evaluate, slice(middle, None)),
            functools.partial(_rank_damage, scheme, material, calibration, ladders),
            limits,
            scheme.variant,
        )
    kinds = Counter(ladder.recipe.kind for ladder in ladders.values())
    mixture = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    report |= {
        "summary": f"{gate.describe(report)}; layers: {mixture}",
        "worst_text": list(calibration.rows[middle + report["worst_row"]]),
    }
    inputs = list_inputs(scheme.dialect, material.inputs)
    entry = make_entry(scheme.dialect, file, [f"{file}_data"], inputs) | {
        "graph_optimization": GRAPH_OPTIMIZATION,
        "parity": report,
        "layers": [_describe(name, ladder) for name, ladder in ladders.items()],
    }
    if scheme.run_sharing is not None:
        with progress.step(f"Checking {scheme.variant} where rows share calls"):
            logits = scheme.run_sharing(path, feeds[middle:])
        sharing = gate.measure(logits, expected[middle:], activation)
        report["sharing_calls"] = sharing | {"summary": gate.describe(sharing)}
        # A graph that does not pass here is still written: each row is then run in a call of its own, as gated above.
        if gate.excess(sharing, limits) <= 1:
            entry["tokens_per_call"] = INT8_TOKENS_PER_CALL
    return {scheme.dialect.value: entry}


def _fit(scheme: Scheme, material: Material, calibration: Calibration) -> dict[str, Ladder]:
    """Fit the recipes that each layer can choose from, by the layer's name."""
    absorbable = material.architecture.absorbable(material.settings)
    ladders = {}
    with material.progress.bar(f"Fitting the recipes of {scheme.variant}", len(calibration.layers)) as advance:
        for name, layer in calibration.layers.items():
            ladders[name] = scheme.ladder(layer, name in absorbable)
            advance()
    return ladders


def _evaluate(
    scheme: Scheme,
    material: Material,
    calibration: Calibration,
    path: Path,
    part: slice,
    recipes: Mapping[str, Recipe],
) -> dict[str, Any]:
    """Write the graph with `recipes` and return its gate report on a part of the calibration rows."""
    weights = material.loaded.reference.weights()
    graph.save(material.architecture, material.settings, weights, recipes, path, scheme.dialect, scheme.precision)
    logits = scheme.run(path, calibration.feeds[part])
    return gate.measure(logits, calibration.expected[part], material.head.measure)


def _rank_damage(
    scheme: Scheme, material: Material, calibration: Calibration, ladders: Mapping[str, Ladder]
) -> dict[str, float]:
    recipes = {name: ladder.recipe for name, ladder in ladders.items()}
    with (
        tempfile.TemporaryDirectory(prefix="int8-", dir=material.folder, ignore_cleanup_errors=True) as scratch,
        material.progress.bar("Measuring the damage that each layer does alone", len(ladders)) as advance,
    ):
        return damage.rank(
            material.architecture,
            material.settings,
            material.loaded.reference.weights(),
            recipes,
            make_batch(calibration.feeds[: calibration.searched], DAMAGE_ROWS, DAMAGE_TOKENS),
            Path(scratch),
            advance,
            scheme.write,
        )


def _describe(name: str, ladder: Ladder) -> dict[str, Any]:
    """Return one line of the manifest's table of layers: the layer's recipe, and why it has that one."""
    recipe, (first, before), (_, after) = ladder.recipe, ladder.remedies[0], ladder.remedies[ladder.step]
    why = f"relative output error {after:.4f}"
    if recipe is not first:
        why += (
            f"; as {first.kind} it was {before:.4f}, and the layer alone moved logits by {ladder.damage:.4f} on average"
        )
    return {"layer": name, "recipe": recipe.describe(), "why": why}
