"""An int8 variant of a bundle, from calibration rows to the manifest's entry; schemes.py says which there are."""

import contextlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from assay.ort.batching import INT8_TOKENS_PER_CALL, group
from assay_export.checkpoint.head import Head
from assay_export.checkpoint.loading import Checkpoint
from assay_export.checkpoint.reference import Feed
from assay_export.checkpoint.tokenizer import TokenizerFiles
from assay_export.gates import parity
from assay_export.graphs.writer import Array
from assay_export.progress import Progress
from assay_export.variants.int8 import damage, gate, graph, statistics
from assay_export.variants.int8.gate import Limits
from assay_export.variants.int8.linear import Recipe
from assay_export.variants.int8.schemes import Scheme
from assay_export.variants.int8.search import Ladder, search
from assay_export.variants.int8.statistics import Statistics

# Of the calibration rows: statistics and search use the first third, at most this many; the gate is held on the rest.
SEARCH_ROWS = 128
STATISTICS_ROWS = 64
# Ranking runs as often as there are layers: one batch of this many rows, cut to this many tokens.
DAMAGE_ROWS, DAMAGE_TOKENS = 8, 32
# PyTorch reads its weights once per call, which is most of what short rows cost it.
TOKENS_PER_CALL = 512
# One flip in 200 rows is the half per cent that the gate allows: fewer held-out rows could not tell.
FEWEST_ROWS = 300


@dataclass(frozen=True)
class Calibration:
    """The rows that all int8 variants of an export are fitted to and gated on, and what is known of them."""

    rows: Sequence[tuple[str, ...]]
    feeds: Sequence[Feed]  # one row each
    expected: Array  # PyTorch's logits, float32 [rows, labels]
    layers: Mapping[str, Statistics]
    searched: int  # how many of the rows the search sees; the gate is held on the others


def calibrate(
    architecture: Any,
    settings: Any,
    loaded: Checkpoint,
    tokens: TokenizerFiles,
    rows: Sequence[tuple[str, ...]],
    max_length: int,
    folder: Path,
    progress: Progress,
) -> Calibration:
    """Asks PyTorch about `rows` and records what reaches the layers; `folder` is for files that are gone at the end."""
    feeds = [
        {name: feed[name] for name in ("input_ids", "attention_mask")}
        for feed in parity.encode(tokens.tokenizer, rows, max_length)
    ]
    with progress.bar("Asking PyTorch about the calibration rows", len(feeds)) as advance:
        expected = _answers(loaded, feeds, advance)
    searched = min(SEARCH_ROWS, len(feeds) // 3)
    recorded = min(STATISTICS_ROWS, searched)
    with _scratch(folder) as scratch, progress.bar("Recording activations", recorded) as advance:
        weights = loaded.reference.weights()
        layers = statistics.collect(architecture, settings, weights, feeds[:recorded], scratch, advance)
    return Calibration(rows, feeds, expected, layers, searched)


def write(
    scheme: Scheme,
    calibration: Calibration,
    architecture: Any,
    settings: Any,
    weights: Mapping[str, Array],
    head: Head,
    limits: Limits,
    path: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Writes the graph at `path` and returns its gate report and the table of its layers.

    Raises:
        ParityError: no mixture of remedies passes the gate.
    """
    feeds, expected, middle = calibration.feeds, calibration.expected, calibration.searched
    absorbable = architecture.absorbable(settings)
    with progress.bar(f"Searching smoothing and remedies of {scheme.variant}", len(calibration.layers)) as advance:
        ladders = {}
        for name, layer in calibration.layers.items():
            ladders[name] = scheme.ladder(layer, name in absorbable)
            advance()

    def evaluate(part: slice) -> Callable[[Mapping[str, Recipe]], dict[str, Any]]:
        def run(recipes: Mapping[str, Recipe]) -> dict[str, Any]:
            graph.save(architecture, settings, weights, recipes, path, scheme.dialect, scheme.precision)
            return gate.measure(scheme.run(path, feeds[part]), expected[part], head.activation)

        return run

    def rank_damage() -> Mapping[str, float]:
        recipes = {name: ladder.recipe for name, ladder in ladders.items()}
        batch = _batch(feeds[:middle])
        with (
            _scratch(path.parent) as scratch,
            progress.bar("Ranking layers by the damage each does alone", len(ladders)) as advance,
        ):
            return damage.rank(architecture, settings, weights, recipes, batch, scratch, advance, scheme.write)

    with progress.step(f"Holding {scheme.variant} to its gate"):
        report = search(
            ladders, evaluate(slice(middle)), evaluate(slice(middle, None)), rank_damage, limits, scheme.variant
        )
    kinds = Counter(ladder.recipe.kind for ladder in ladders.values())
    mixture = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    report |= {
        "summary": f"{gate.describe(report)}; layers: {mixture}",
        "worst_text": list(calibration.rows[middle + report["worst_row"]]),
    }
    entry: dict[str, Any] = {"parity": report, "layers": [_entry(name, ladder) for name, ladder in ladders.items()]}
    if scheme.run_sharing is not None:
        with progress.step(f"Holding {scheme.variant} to its gate where rows share calls"):
            logits = scheme.run_sharing(path, feeds[middle:])
        sharing = gate.measure(logits, expected[middle:], head.activation)
        report["sharing_calls"] = sharing | {"summary": gate.describe(sharing)}
        # What does not pass is not refused: every row answers as it was gated in a call of its own.
        if gate.excess(sharing, limits) <= 1:
            entry["tokens_per_call"] = INT8_TOKENS_PER_CALL
    return entry


@contextlib.contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A folder in `folder`, on the disk where there is room for the weights, removed at the end."""
    path = Path(tempfile.mkdtemp(prefix="int8-", dir=folder))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _batch(feeds: Sequence[Feed]) -> Array:
    """The first tokens of some of the longer rows, [DAMAGE_ROWS, DAMAGE_TOKENS] or what the longest rows allow."""
    longest = sorted((feed["input_ids"][0] for feed in feeds), key=len)[-4 * DAMAGE_ROWS :]
    tokens = min(DAMAGE_TOKENS, len(longest[0]))
    return np.stack([ids[:tokens] for ids in longest[:: -(-len(longest) // DAMAGE_ROWS)]])


def _entry(name: str, ladder: Ladder) -> dict[str, Any]:
    """One layer in the manifest's table: what it got, and why."""
    recipe, (first, before), (_, after) = ladder.recipe, ladder.remedies[0], ladder.remedies[ladder.step]
    why = f"relative output error {after:.4f}"
    if recipe is not first:
        why += f", {before:.4f} as {first.kind} at first, when it alone moved logits by {ladder.damage:.4f} in the mean"
    return {"layer": name, "recipe": recipe.describe(), "why": why}


def _answers(loaded: Checkpoint, feeds: Sequence[Feed], advance: Callable[[], None]) -> Array:
    """PyTorch's logits [rows, labels]; rows of one length share a call."""
    answers: dict[int, Array] = {}
    for indices in group([feed["input_ids"].size for feed in feeds], TOKENS_PER_CALL):
        together = {name: np.concatenate([feeds[index][name] for index in indices]) for name in feeds[0]}
        for index, logits in zip(indices, loaded.reference.logits(together), strict=True):
            answers[index] = logits
            advance()
    return np.stack([answers[index] for index in range(len(feeds))])
