"""The int8 graph as it is exported against itself with one choice made otherwise: the evidence behind the choices.

    python -m benchmarks.graph_choices CHECKPOINT [--lengths 16,64,...] [--rounds N]

Graphs are `plain_int8`'s: no gate, for speed only. All take turns in one run, in both modes; ratios are within a round.
"""

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from unittest import mock

import numpy as np

from assay.bundle.manifest import Graph
from assay.errors import AssayError
from assay.threads import usable_cores
from assay_export.graphs.architectures import local_attention, relative_positions
from assay_export.graphs.precision import Precision
from assay_export.variants.int8.graph import Int8
from assay_export.variants.int8.linear import Recipe
from benchmarks import peers, plain_int8
from benchmarks.int8_peers import MANY, ONE, calls_per_turn, lengths, round_robin, rounds
from benchmarks.suite.statistics import ratio

AS_EXPORTED = "as exported"


class Float32Positions(plain_int8.PlainRecipes):
    """Position scores in float32, every layer in int8."""

    def __missing__(self, name: str) -> Recipe:
        return Recipe("fp32") if name.endswith(".positions") else super().__missing__(name)


@dataclass(frozen=True)
class Choice:
    """One way to write or load the graph."""

    block_rows: int | None = None
    whole_gate: bool = False  # ModernBERT's mlp.Wi as one product, split afterwards
    float32_positions: bool = False
    graph_optimization: Literal["all", "basic"] = "basic"

    @contextlib.contextmanager
    def made(self) -> Iterator[plain_int8.PlainRecipes]:
        """While graphs are written inside, the choice is in force; gives the recipes to write them with."""
        with contextlib.ExitStack() as stack:
            if self.block_rows:
                for module in (relative_positions, local_attention):
                    stack.enter_context(mock.patch.object(module, "BLOCK_ROWS", self.block_rows))
            if self.whole_gate:
                stack.enter_context(mock.patch.object(Int8, "linear_parts", Precision.linear_parts))
            yield Float32Positions() if self.float32_positions else plain_int8.PlainRecipes()


CHOICES = {
    "deberta-v2": {
        AS_EXPORTED: Choice(),
        "position scores in float32": Choice(float32_positions=True),
        "blocks of 64 rows": Choice(block_rows=64),
        "blocks of 256 rows": Choice(block_rows=256),
        "all optimisations of ONNX Runtime": Choice(graph_optimization="all"),
    },
    "modernbert": {
        AS_EXPORTED: Choice(),
        "mlp.Wi as one product": Choice(whole_gate=True),
        "blocks of 64 rows": Choice(block_rows=64),
        "blocks of 256 rows": Choice(block_rows=256),
        "all optimisations of ONNX Runtime": Choice(graph_optimization="all"),
    },
}


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code: 0, or 1 with one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.graph_choices", description=__doc__.split("\n")[0])
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT")
    parser.add_argument("--lengths", type=lengths, default="16,64,128,256,512")
    parser.add_argument("--rounds", type=rounds, default=5)
    options = parser.parse_args(arguments)
    try:
        measure(options.checkpoint, options.lengths, options.rounds)
    except AssayError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def measure(checkpoint: Path, token_counts: Sequence[int], turns_each: int) -> None:
    """Prints the table of one checkpoint's choices. Raises AssayError where it cannot be read."""
    cores, random = usable_cores(), np.random.default_rng(0)
    with tempfile.TemporaryDirectory(dir=checkpoint.resolve().parent) as work:
        model = plain_int8.load(checkpoint)
        graphs: dict[str, tuple[Path, Literal["all", "basic"]]] = {}
        for number, (name, choice) in enumerate(CHOICES[model.architecture.ARCHITECTURE].items()):
            with choice.made() as recipes:
                graphs[name] = plain_int8.save(model, recipes, Path(work) / str(number)), choice.graph_optimization
        print(f"| mode | tokens | {AS_EXPORTED}, ms | {' | '.join(list(graphs)[1:])} |")
        print("|" + " --- |" * (len(graphs) + 2))
        for mode, threads in ((ONE, cores), (MANY, 1)):
            turns = {}
            for name, (path, level) in graphs.items():
                call = peers.assay_int8(path, Graph(path.name, (), ("input_ids",), level, {}), model.labels, threads)
                turns[name] = peers.one_at_a_time(call) if mode == ONE else peers.from_callers(call, cores)
            for length in token_counts:
                first = turns[AS_EXPORTED]([random.integers(5, 1_000, (1, length))] * cores)
                texts = [random.integers(5, 1_000, (1, length)) for _ in range(calls_per_turn(mode, first, cores))]
                times = round_robin(turns, texts, turns_each)
                others = [str(ratio(times[name], times[AS_EXPORTED])) for name in list(graphs)[1:]]
                print(f"| {mode} | {length} | {np.median(times[AS_EXPORTED]):.1f} | {' | '.join(others)} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
