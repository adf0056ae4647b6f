"""Times the remedies that a small model's int8 graph got at the size of a large one, against plain int8.

    python -m benchmarks.probes.remedies_at_size BUNDLE CHECKPOINT [--lengths 16,64,...] [--rounds N] [--json FILE]

BUNDLE is a small model with an int8 graph, such as a stand-in that was trained with outliers. CHECKPOINT is a large one
of the same architecture, such as a stand-in with random weights. Two graphs of CHECKPOINT take turns: one with every
layer in plain int8, and one whose layers have the remedies of BUNDLE's: scales per group, float32 columns, float32
layers, float32 attention. Layers correspond by their share of the depth, the last to the last, and as many columns are
float32. Smoothing is left out, because it is in the weights and takes no time. Answers of random weights mean nothing,
so that this shows time only.
"""

import argparse
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from assay.bundle import manifest
from assay.bundle.manifest import Graph
from assay_export.variants.int8.linear import Recipe
from benchmarks.command_line import add_json, make_parser, parse_count, parse_counts, run_measurement
from benchmarks.engines.session import open_graph
from benchmarks.errors import BenchmarkError
from benchmarks.machine import peaks, usable_cores
from benchmarks.standins import plain_int8
from benchmarks.timing import Ids, Turn, one_at_a_time, ratio, round_robin

__all__ = ["main", "read_recipe", "scale_recipes"]

PLAIN, WITH_REMEDIES = "plain int8", "with the remedies"
INPUTS_OF_A_TURN = 8
_LAYER = re.compile(r"^(layers?\.)(\d+)(\..*)$")


def read_recipe(described: str) -> Recipe:
    """Read the recipe of a layer out of a manifest's table. Smoothing is left out.

    Raises:
        BenchmarkError: The table is of another version.
    """
    if described in ("fp32", "fp16"):
        return Recipe(described)
    found = re.fullmatch(r"int8(?: by groups of (\d+))?(?: with (\d+) fp32 columns)?(?:, smoothed)?", described)
    if found is None:
        raise BenchmarkError(f"the recipe {described!r} of a layer is not one of int8's: export the bundle again")
    group, columns = (int(number or 0) for number in found.groups())
    return Recipe("int8", columns=tuple(range(columns)), group=group)


def scale_recipes(small: Mapping[str, Recipe], small_depth: int, depth: int) -> dict[str, Recipe]:
    """Give each of `depth` layers the recipes of that of `small_depth` layers at the same share of the depth.

    The last layer has its own form, for the first token only, so it gets those of the last.
    """
    recipes = {name: recipe for name, recipe in small.items() if not _LAYER.match(name)}
    for index in range(depth):
        source = index * (small_depth - 1) // (depth - 1) if index < depth - 1 else small_depth - 1
        for name, recipe in small.items():
            found = _LAYER.match(name)
            if found and int(found[2]) == source:
                recipes[f"{found[1]}{index}{found[3]}"] = recipe
    return recipes


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0, or 1 with one line on standard error.
    """
    parser = make_parser("remedies_at_size", __doc__)
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="bundle of a small model with the variant int8")
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="whole checkpoint of a large model")
    parser.add_argument("--lengths", type=parse_counts, default="16,64,128,512", metavar="N,N", help="tokens of a text")
    parser.add_argument("--rounds", type=parse_count, default=7, metavar="N", help="turns of each graph; default: 7")
    add_json(parser, "the seconds of every turn")
    return run_measurement(measure, parser.parse_args(arguments))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Write both graphs, take the turns and print a table.

    Returns:
        What --json writes.

    Raises:
        AssayError: The bundle has no int8 graph, or the checkpoint is not of its architecture.
    """
    described = manifest.read(options.bundle / manifest.MANIFEST_NAME)
    graph = described.variants.get("int8", {}).get("kernels")
    if graph is None:
        raise BenchmarkError(f"{options.bundle} has no int8 variant: export it with --variants fp32,int8")
    small = {str(layer["layer"]): read_recipe(str(layer["recipe"])) for layer in graph.layers}
    model = plain_int8.load(options.checkpoint)
    names = model.settings.layer_names
    prefix = str(names[0]).split(".")[0]
    depths = {int(found[2]) for name in small if (found := _LAYER.match(name)) and name.startswith(f"{prefix}.")}
    if not depths:
        raise BenchmarkError(f"{options.bundle} is of another architecture than {options.checkpoint}")
    recipes = scale_recipes(small, len(depths), len(names))
    counts = Counter(str(layer["recipe"]).removesuffix(", smoothed") for layer in graph.layers)
    print(f"{described.name}: {', '.join(f'{count} {recipe}' for recipe, count in counts.items())}")
    print(f"estimated at its own size: {graph.parity['time_over_plain_int8']} of plain int8's time")
    measured = peaks.measure()
    with tempfile.TemporaryDirectory(prefix="assay-remedies-") as scratch:
        turns = {
            name: open_turn(plain_int8.save(model, chosen, Path(scratch, name)), model.labels)
            for name, chosen in ((PLAIN, plain_int8.PlainRecipes()), (WITH_REMEDIES, plain_int8.PlainRecipes(recipes)))
        }
        seconds = {length: time_length(turns, length, options.rounds) for length in options.lengths}
    measured = measured.join(peaks.measure())
    print(f"\n{format_table(seconds)}\n\n{measured}")
    return {"model": described.name, "layers": len(names), "seconds": seconds}


def open_turn(path: Path, labels: int) -> Turn:
    """Load a graph of the kernels dialect, and return a turn that answers one row at a time on all cores."""
    graph = Graph(path.name, (), ("input_ids", "row_starts"), "basic", {})
    return one_at_a_time(open_graph(path, graph, labels, usable_cores()))


def time_length(turns: Mapping[str, Turn], length: int, rounds: int) -> dict[str, list[float]]:
    """Give both graphs turns on rows of `length` tokens, and return the seconds of a row by round."""
    random = np.random.default_rng(0)
    inputs: list[Ids] = [random.integers(5, 1_000, (1, length)) for _ in range(INPUTS_OF_A_TURN)]
    return round_robin({name: partial(turn, inputs) for name, turn in turns.items()}, rounds)


def format_table(seconds: Mapping[int, Mapping[str, Sequence[float]]]) -> str:
    """Format a Markdown table: milliseconds in the median, and the ratio of each length."""
    lines = [f"| tokens | {PLAIN}, ms | {WITH_REMEDIES}, ms | ratio |", "|---" * 4 + "|"]
    for length, times in seconds.items():
        plain, remedied = times[PLAIN], times[WITH_REMEDIES]
        medians = f"{np.median(plain) * 1e3:.1f} | {np.median(remedied) * 1e3:.1f}"
        lines.append(f"| {length} | {medians} | {ratio(remedied, plain)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
