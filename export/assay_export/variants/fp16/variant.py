"""The fp16 variant of a bundle: find the layers that stay in float32, write the graph, and check it at the gate."""

import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from assay_export.checkpoint.reference import Feed
from assay_export.errors import ParityError
from assay_export.gates.answers import run_pytorch
from assay_export.gates.parity import Case
from assay_export.graphs.entry import make_entry
from assay_export.graphs.writer import Dialect
from assay_export.texts import real_text
from assay_export.variants.batch import make_batch
from assay_export.variants.fp16 import gate, overflow
from assay_export.variants.fp16.damage import measure_damage
from assay_export.variants.fp16.gate import Texts
from assay_export.variants.fp16.graph import LARGEST, Fp16, author
from assay_export.variants.fp16.search import find_fewest
from assay_export.variants.material import Material

__all__ = ["write"]

FILE = "onnx/model_fp16.onnx"
# Peaks are measured on the first calibration rows, and the gate is run on the rows after them.
PEAK_ROWS, GATE_ROWS = 64, 128
# Both also use texts of the model's full length: as many as make up this number of tokens, and at least one.
FULL_LENGTH_TOKENS = 2048
# The graph that measures damage runs once per group: this many rows of this many tokens.
DAMAGE_ROWS, DAMAGE_TOKENS = 16, 48
# Characters per token at which to stop making a text longer: calibration text may consist of spaces alone.
MOST_CHARACTERS_PER_TOKEN = 100


@dataclass(frozen=True)
class _Fit:
    """A graph that was written, with the largest |value| of each of its groups in calibration."""

    precision: Fp16
    peaks: dict[str, float]


def write(material: Material) -> dict[str, Any]:
    """Write the graph and its weights, and return the manifest's graphs by dialect.

    Layers whose values overflow float16 stay in float32. If the graph does not pass its gate, the layers that do the
    most damage stay in float32 as well, as few as possible.

    Raises:
        ParityError: The graph does not pass the gate, even with layers in float32.
    """
    progress, path, head = material.progress, material.folder / FILE, material.head
    peak_feeds = material.encode(material.rows[:PEAK_ROWS])
    gate_rows = material.rows[PEAK_ROWS : PEAK_ROWS + GATE_ROWS]
    gate_feeds = material.encode(gate_rows)
    long_rows, long_feeds = _make_full_length_rows(material)

    feeds = [*gate_feeds, *long_feeds]
    with progress.bar("Running PyTorch on the texts for fp16", len(feeds)) as advance:
        expected = run_pytorch(material.loaded.reference, feeds, advance)
    shapes = ["calibration text, batch 1"] * len(gate_feeds)
    shapes += [f"text of {feed['input_ids'].size} tokens" for feed in long_feeds]
    calibration = [Case(shape, feed, row[None]) for shape, feed, row in zip(shapes, feeds, expected, strict=True)]
    real_rows = real_text.rows(head.row)  # the last cases of the fp32 gate
    grid, real = material.cases[: -len(real_rows)], material.cases[-len(real_rows) :]
    texts = Texts([*real, *calibration], [*real_rows, *gate_rows, *long_rows])

    def check() -> dict[str, Any]:
        with progress.bar(f"Comparing {FILE}", 2 * (len(material.cases) + len(feeds))) as advance:
            return gate.check(path, FILE, grid, texts, len(head.labels), head.measure, advance, material.fp32_limit)

    overflow_feeds = [*peak_feeds, *long_feeds]
    fit = _author(material, overflow_feeds, ())
    damage: dict[str, float] = {}
    try:
        report = check()
    except ParityError:
        damage = _measure_damage(material, fit, peak_feeds)
        islands = _find_islands(material, fit, damage, check)
        if islands is None:
            raise
        fit = _author(material, overflow_feeds, islands)
        report = check()
    layers = [_describe(name, fit, damage) for name in fit.precision.is_float16]
    entry = make_entry(Dialect.PORTABLE, FILE, [f"{FILE}_data"], material.inputs)
    return {"portable": entry | {"parity": report, "layers": layers}}


def _author(material: Material, feeds: Sequence[Feed], islands: Collection[str]) -> _Fit:
    """Write the graph with `islands` in float32, and as few other groups as overflow float16 on `feeds`.

    A group in float32 changes which values are stored in float16 after it, so peaks are measured again until no further
    group has to change.

    Raises:
        ParityError: Values overflow although their groups are in float32, or no group is left in float16.
    """
    weights = material.loaded.reference.weights()
    float32 = set(islands)
    peaks: dict[str, float] = {}
    with material.progress.bar("Checking fp16 for overflow", len(feeds)) as advance:
        while True:
            precision = author(material.architecture, material.settings, weights, float32, material.folder / FILE)
            too_large = {name for name, peak in precision.weight_peaks.items() if peak > LARGEST} - float32
            if not too_large:
                measured = overflow.measure_peaks(material.folder / FILE, feeds, advance)
                found = overflow.find_group_peaks(measured, precision, FILE)
                peaks |= {name: max(peaks.get(name, 0.0), peak) for name, peak in found.items()}
                too_large = {name for name, peak in found.items() if not peak <= LARGEST}
            if not too_large:
                _refuse_all_float32(precision)
                return _Fit(precision, peaks)
            if too_large <= float32:
                names = ", ".join(sorted(too_large))
                raise ParityError(f"{FILE}: values overflow float16 after {names} even in float32; {gate.ADVICE}")
            float32 |= too_large


def _list_float32(fit: _Fit) -> set[str]:
    return {name for name, is_float16 in fit.precision.is_float16.items() if not is_float16}


def _measure_damage(material: Material, fit: _Fit, feeds: Sequence[Feed]) -> dict[str, float]:
    """Measure the damage of each group that is in float16."""
    groups = sum(fit.precision.is_float16.values())
    with (
        tempfile.TemporaryDirectory(prefix="fp16-", dir=material.folder, ignore_cleanup_errors=True) as scratch,
        material.progress.bar("Measuring the damage that each layer does alone in fp16", groups) as advance,
    ):
        return measure_damage(
            material.architecture,
            material.settings,
            material.loaded.reference.weights(),
            _list_float32(fit),
            make_batch(feeds, DAMAGE_ROWS, DAMAGE_TOKENS),
            Path(scratch),
            advance,
        )


def _find_islands(
    material: Material, fit: _Fit, damage: Mapping[str, float], check: Callable[[], object]
) -> set[str] | None:
    """Find the fewest groups that have to stay in float32, in addition to those of `fit`, for `check` to pass.

    No group overflows that did not overflow in `fit`: groups in float32 only take values out of float16.

    Returns:
        All groups in float32, or None if no graph passes.
    """
    float32 = _list_float32(fit)
    weights = material.loaded.reference.weights()

    def passes(groups: Sequence[str]) -> bool:
        chosen = float32.union(groups)
        precision = author(material.architecture, material.settings, weights, chosen, material.folder / FILE)
        try:
            _refuse_all_float32(precision)
            check()
        except ParityError:
            return False
        return True

    ranked = sorted(damage, key=lambda name: -float(np.nan_to_num(damage[name], nan=np.inf)))
    found = find_fewest(ranked, passes)
    return None if found is None else float32.union(found)


def _refuse_all_float32(precision: Fp16) -> None:
    products = {name: half for name, half in precision.is_float16.items() if name != "embeddings.word"}
    if not any(products.values()):
        raise ParityError(
            f"{FILE}: every one of its {len(products)} layers would stay in float32, because values exceed "
            f"{LARGEST:,.0f} in calibration, a quarter of float16's range, or logits move too far; {gate.ADVICE}"
        )


def _describe(name: str, fit: _Fit, damage: Mapping[str, float]) -> dict[str, str]:
    """Return the line of one group in the manifest's table."""
    weight, value = fit.precision.weight_peaks[name], fit.peaks.get(name, 0.0)
    is_float16 = fit.precision.is_float16[name]
    above = f", above {LARGEST:,.0f}, a quarter of float16's range"
    if weight > LARGEST:
        why = f"largest |weight| {weight:.4g}{above}"
    elif not value <= LARGEST:
        why = f"largest |value| {value:.4g} in calibration{above}"
    elif not is_float16 and name in damage:
        why = f"in fp16 it alone moved logits by {damage[name]:.4f} (root mean square)"
    elif not is_float16:
        why = "computed from a layer in fp32"
    elif name in fit.peaks:
        why = f"largest |value| {value:.4g} in calibration"
    else:
        why = f"largest |weight| {weight:.4g}"
    return {"layer": name, "recipe": "fp16" if is_float16 else "fp32", "why": why}


def _make_full_length_rows(material: Material) -> tuple[list[tuple[str, ...]], list[Feed]]:
    """Join calibration rows to texts of the model's full length, each beginning with a different row."""
    length = material.max_length
    count = max(1, FULL_LENGTH_TOKENS // length)
    rows: list[tuple[str, ...]] = []
    feeds: list[Feed] = []
    for number in range(count):
        start = len(material.rows) * number // count
        turned = [*material.rows[start:], *material.rows[:start]][:length]
        row = tuple(" ".join(part)[: MOST_CHARACTERS_PER_TOKEN * length] for part in zip(*turned, strict=True))
        (feed,) = material.encode([row])
        while feed["input_ids"].size < length and len(row[0]) < MOST_CHARACTERS_PER_TOKEN * length:
            row = tuple(f"{part} {part}" for part in row)
            (feed,) = material.encode([row])
        rows.append(row)
        feeds.append(feed)
    return rows, feeds
