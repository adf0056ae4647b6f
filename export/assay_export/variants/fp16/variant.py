"""The fp16 variant of a bundle: find the layers that overflow float16, write the graph, and check it at the gate."""

from collections.abc import Callable, Sequence
from typing import Any

from assay_export.checkpoint.reference import Feed
from assay_export.errors import ParityError
from assay_export.gates import parity
from assay_export.gates.answers import run_pytorch
from assay_export.gates.parity import Case
from assay_export.graphs.entry import make_entry
from assay_export.graphs.net import Dialect
from assay_export.texts import real_text
from assay_export.variants.fp16 import gate, overflow
from assay_export.variants.fp16.gate import Texts
from assay_export.variants.fp16.graph import LARGEST, Fp16, author
from assay_export.variants.material import Material

__all__ = ["write"]

FILE = "onnx/model_fp16.onnx"
# Peaks are measured on the first calibration rows, and the gate is run on the rows after them.
PEAK_ROWS, GATE_ROWS = 64, 128
# Both also use texts of the model's full length: as many as make up this number of tokens, and at least one.
FULL_LENGTH_TOKENS = 2048
# Characters per token at which to stop making a text longer: calibration text may consist of spaces alone.
MOST_CHARACTERS_PER_TOKEN = 100


def write(material: Material) -> dict[str, Any]:
    """Write the graph and its weights, and return the manifest's graphs by dialect.

    Raises:
        ParityError: The graph does not pass the gate, even with layers in float32.
    """
    progress, path = material.progress, material.folder / FILE
    tokenizer, max_length = material.tokens.tokenizer, material.max_length
    peak_feeds = _keep_graph_inputs(parity.encode(tokenizer, material.rows[:PEAK_ROWS], max_length))
    gate_rows = material.rows[PEAK_ROWS : PEAK_ROWS + GATE_ROWS]
    gate_feeds = _keep_graph_inputs(parity.encode(tokenizer, gate_rows, max_length))
    long_rows, long_feeds = _make_full_length_rows(material)

    with progress.bar("Checking fp16 for overflow", len(peak_feeds) + len(long_feeds)) as advance:
        layers = _author(material, [*peak_feeds, *long_feeds], advance)
    feeds = [*gate_feeds, *long_feeds]
    with progress.bar("Running PyTorch on the texts for fp16", len(feeds)) as advance:
        expected = run_pytorch(material.loaded.reference, feeds, advance)
    shapes = ["calibration text, batch 1"] * len(gate_feeds)
    shapes += [f"text of {feed['input_ids'].size} tokens" for feed in long_feeds]
    calibration = [Case(shape, feed, row[None]) for shape, feed, row in zip(shapes, feeds, expected, strict=True)]
    real_rows = real_text.rows(material.head.row)  # the last cases of the fp32 gate
    grid, real = material.cases[: -len(real_rows)], material.cases[-len(real_rows) :]
    texts = Texts([*real, *calibration], [*real_rows, *gate_rows, *long_rows])
    with progress.bar(f"Comparing {FILE}", 2 * (len(material.cases) + len(shapes))) as advance:
        report = gate.check(path, FILE, grid, texts, len(material.head.labels), material.head.activation, advance)
    entry = make_entry(Dialect.PORTABLE, FILE, [f"{FILE}_data"])
    return {"portable": entry | {"parity": report, "layers": layers}}


def _author(material: Material, feeds: Sequence[Feed], advance: Callable[[], None]) -> list[dict[str, str]]:
    """Write the graph with as few groups in float32 as possible, and return the manifest's table of its groups.

    A group in float32 changes which values are stored in float16 after it, so peaks are measured again until no further
    group has to change.
    """
    weights = material.loaded.reference.weights()
    float32: set[str] = set()
    peaks: dict[str, float] = {}
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
            return [_describe(name, precision, peaks) for name in precision.is_float16]
        if too_large <= float32:
            names = ", ".join(sorted(too_large))
            raise ParityError(f"{FILE}: values overflow float16 after {names} even in float32; {gate.ADVICE}")
        float32 |= too_large


def _refuse_all_float32(precision: Fp16) -> None:
    products = {name: half for name, half in precision.is_float16.items() if name != "embeddings.word"}
    if not any(products.values()):
        raise ParityError(
            f"{FILE}: every one of its {len(products)} layers has values above {LARGEST:,.0f} in calibration, a "
            f"quarter of float16's range, and would stay in float32; {gate.ADVICE}"
        )


def _describe(name: str, precision: Fp16, peaks: dict[str, float]) -> dict[str, str]:
    """Return the line of one group in the manifest's table."""
    weight, value, is_float16 = precision.weight_peaks[name], peaks.get(name, 0.0), precision.is_float16[name]
    above = f", above {LARGEST:,.0f}, a quarter of float16's range"
    if weight > LARGEST:
        why = f"largest |weight| {weight:.4g}{above}"
    elif not value <= LARGEST:
        why = f"largest |value| {value:.4g} in calibration{above}"
    elif not is_float16:
        why = "computed from a layer in fp32"
    elif name in peaks:
        why = f"largest |value| {value:.4g} in calibration"
    else:
        why = f"largest |weight| {weight:.4g}"
    return {"layer": name, "recipe": "fp16" if is_float16 else "fp32", "why": why}


def _keep_graph_inputs(feeds: Sequence[Feed]) -> list[Feed]:
    return [{name: feed[name] for name in ("input_ids", "attention_mask")} for feed in feeds]


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
        (feed,) = _keep_graph_inputs(parity.encode(material.tokens.tokenizer, [row], length))
        while feed["input_ids"].size < length and len(row[0]) < MOST_CHARACTERS_PER_TOKEN * length:
            row = tuple(f"{part} {part}" for part in row)
            (feed,) = _keep_graph_inputs(parity.encode(material.tokens.tokenizer, [row], length))
        rows.append(row)
        feeds.append(feed)
    return rows, feeds
