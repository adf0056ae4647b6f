"""Times the graph of int8_ort against itself with one choice made differently: the evidence behind the choices.

    python -m benchmarks.probes.int8_choices CHECKPOINT [--lengths 16,64,...] [--rounds N]

The graphs are those of `benchmarks.standins.plain_int8`: no gate, for speed only. All take turns in one run, in two
modes: one sequence at a time on all cores, and many sequences with one core each. Ratios are taken within a round. One
column runs the exported graph on calls of 8 rows, which then share the activations' scale: the cost of answers that do
not depend on other rows.
"""

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal
from unittest import mock

import numpy as np

from assay.bundle.manifest import Graph
from assay_export.graphs.architectures.deberta_v2 import relative_positions
from assay_export.graphs.architectures.modernbert import local_attention
from assay_export.graphs.precision import Precision
from assay_export.graphs.writer import Dialect
from assay_export.variants.int8.linear import Recipe
from assay_export.variants.int8.providers.graph import Int8
from benchmarks.command_line import make_parser, parse_count, parse_counts, run_measurement
from benchmarks.engines.session import open_graph
from benchmarks.machine import usable_cores
from benchmarks.standins import plain_int8
from benchmarks.timing import Call, Ids, from_callers, one_at_a_time, ratio, round_robin

__all__ = ["main"]

AS_EXPORTED = "as exported"
TOGETHER = 8
"""Rows of a shared call, and sequences of a turn."""
ONE, MANY = "one at a time", "one core each"


class Float32Positions(plain_int8.PlainRecipes):
    """Position scores in float32, every layer in int8."""

    def __missing__(self, name: str) -> Recipe:
        return Recipe("fp32") if name.endswith(".positions") else super().__missing__(name)


@dataclass(frozen=True)
class Choice:
    """One way to write, load or call the graph."""

    block_rows: int | None = None
    whole_gate: bool = False  # ModernBERT's mlp.Wi as one product, split afterwards
    float32_positions: bool = False
    graph_optimization: Literal["all", "basic"] = "basic"
    shared_calls: bool = False

    @contextlib.contextmanager
    def apply(self) -> Iterator[plain_int8.PlainRecipes]:
        """Apply the choice to the graphs that are written inside the block, and yield the recipes for them."""
        with contextlib.ExitStack() as stack:
            if self.block_rows:
                for module in (relative_positions, local_attention):
                    stack.enter_context(mock.patch.object(module, "BLOCK_ROWS", self.block_rows))
            if self.whole_gate:
                stack.enter_context(mock.patch.object(Int8, "linear_parts", Precision.linear_parts))
            yield Float32Positions() if self.float32_positions else plain_int8.PlainRecipes()


COMMON = {
    "blocks of 64 rows": Choice(block_rows=64),
    "blocks of 256 rows": Choice(block_rows=256),
    "all optimisations of ONNX Runtime": Choice(graph_optimization="all"),
    f"{TOGETHER} rows in a call": Choice(shared_calls=True),
}
CHOICES = {
    "bert": {AS_EXPORTED: Choice(), **COMMON},
    "deberta-v2": {AS_EXPORTED: Choice(), "position scores in float32": Choice(float32_positions=True), **COMMON},
    "modernbert": {AS_EXPORTED: Choice(), "mlp.Wi as one product": Choice(whole_gate=True), **COMMON},
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0, or 1 with one line on standard error.
    """
    parser = make_parser("int8_choices", __doc__)
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT")
    parser.add_argument("--lengths", type=parse_counts, default="16,64,128,256,512", metavar="N,N", help="tokens")
    parser.add_argument("--rounds", type=parse_count, default=5, metavar="N", help="turns of each graph; default: 5")
    return run_measurement(measure, parser.parse_args(arguments))


def measure(options: argparse.Namespace) -> None:
    """Print the table of one checkpoint.

    Raises:
        AssayError: The checkpoint cannot be read.
    """
    cores, random = usable_cores(), np.random.default_rng(0)
    with tempfile.TemporaryDirectory(dir=options.checkpoint.resolve().parent) as work:
        model = plain_int8.load(options.checkpoint)
        choices = CHOICES[model.architecture.ARCHITECTURE]
        paths = write_graphs(model, choices, Path(work))
        print(f"| mode | tokens | {AS_EXPORTED}, ms | {' | '.join(list(choices)[1:])} |")
        print("|" + " --- |" * (len(choices) + 2))
        for mode, threads in ((ONE, cores), (MANY, 1)):
            callers = 1 if mode == ONE else cores
            turns = {}
            for name, choice in choices.items():
                graph = Graph(paths[name].name, (), ("input_ids",), choice.graph_optimization, {})
                call = open_graph(paths[name], graph, model.labels, threads)
                turns[name] = make_turn(call, callers, choice.shared_calls)
            for length in options.lengths:
                texts = [random.integers(5, 1_000, (1, length)) for _ in range(TOGETHER * callers)]
                times = round_robin({name: partial(turn, texts) for name, turn in turns.items()}, options.rounds)
                others = [str(ratio(times[name], times[AS_EXPORTED])) for name in list(choices)[1:]]
                exported = float(np.median(times[AS_EXPORTED])) * 1e3
                print(f"| {mode} | {length} | {exported:.1f} | {' | '.join(others)} |", flush=True)


def write_graphs(model: plain_int8.Model, choices: dict[str, Choice], folder: Path) -> dict[str, Path]:
    """Write the graph of every choice, each into a folder by itself."""
    paths = {}
    for number, (name, choice) in enumerate(choices.items()):
        with choice.apply() as recipes:
            paths[name] = plain_int8.save(model, recipes, folder / str(number), Dialect.CPU)
    return paths


def make_turn(call: Call, callers: int, shared: bool) -> Callable[[Sequence[Ids]], float]:
    """Make a turn that returns seconds per row; with `shared`, rows are stacked into calls of TOGETHER rows."""
    turn = one_at_a_time(call) if callers == 1 else from_callers(call, callers)
    if not shared:
        return turn

    def stacked(inputs: Sequence[Ids]) -> float:
        groups = [np.concatenate(inputs[start : start + TOGETHER]) for start in range(0, len(inputs), TOGETHER)]
        return turn(groups) / TOGETHER

    return stacked


if __name__ == "__main__":
    sys.exit(main())
