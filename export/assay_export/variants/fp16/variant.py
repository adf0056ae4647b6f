"""The fp16 variant of a bundle, from calibration rows to the manifest's entry."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from assay.ort.batching import group
from assay_export.bundle.writing import graph_entry
from assay_export.checkpoint.reference import Feed
from assay_export.errors import ParityError
from assay_export.gates import parity
from assay_export.gates.parity import Case, Logits
from assay_export.graphs.writer import Dialect
from assay_export.texts import real_text
from assay_export.variants.fp16 import audit, gate
from assay_export.variants.fp16.gate import Texts
from assay_export.variants.fp16.graph import LARGEST, Fp16, author
from assay_export.variants.material import Material

FILE = "onnx/model_fp16.onnx"
# Of the calibration rows: the audit reads these many, and the gate these many after them.
AUDIT_ROWS, GATE_ROWS = 64, 128
# Both also read texts of the model's full length, as many as make up these tokens, and one at least.
FULL_LENGTH_TOKENS = 2048
TOKENS_PER_CALL = 512
# Characters per token beyond which a longer text would not be found: calibration text may be nothing but spaces.
SEARCHED = 100


def write(material: Material) -> dict[str, Any]:
    """Writes the graph and its weights, and returns the manifest's graphs by dialect.

    Raises:
        ParityError: the gate does not hold, whatever stays in float32.
    """
    progress, path = material.progress, material.folder / FILE
    tokenizer, max_length = material.tokens.tokenizer, material.max_length
    audited = _inputs(parity.encode(tokenizer, material.rows[:AUDIT_ROWS], max_length))
    rows = material.rows[AUDIT_ROWS : AUDIT_ROWS + GATE_ROWS]
    gated = _inputs(parity.encode(tokenizer, rows, max_length))
    long_rows, long_feeds = _full_length(material)

    with progress.bar("Auditing fp16 for overflow", len(audited) + len(long_feeds)) as advance:
        layers = _author(material, [*audited, *long_feeds], advance)
    shapes = ["calibration text, batch 1"] * len(gated) + [f"text of {f['input_ids'].size} tokens" for f in long_feeds]
    with progress.bar("Asking PyTorch about texts for fp16", len(shapes)) as advance:
        asked = _cases(material, shapes, [*gated, *long_feeds], advance)
    real_rows = real_text.rows(material.head.row)  # the last of the fp32 gate's cases
    grid, real = material.cases[: -len(real_rows)], material.cases[-len(real_rows) :]
    texts = Texts([*real, *asked], [*real_rows, *rows, *long_rows])
    with progress.bar(f"Comparing {FILE}", 2 * (len(material.cases) + len(shapes))) as advance:
        report = gate.hold(path, FILE, grid, texts, len(material.head.labels), material.head.activation, advance)
    entry = graph_entry(Dialect.PORTABLE, FILE, [f"{FILE}_data"])
    return {"portable": entry | {"parity": report, "layers": layers}}


def _author(material: Material, feeds: Sequence[Feed], advance: Callable[[], None]) -> list[dict[str, str]]:
    """Writes the graph with as few groups in float32 as the audit allows, and says of each group what it got and why.

    A group in float32 changes what is stored in float16 after it, so the graph is audited until no group moves.
    """
    weights = material.loaded.reference.weights()
    float32: set[str] = set()
    peaks: dict[str, float] = {}
    while True:
        precision = author(material.architecture, material.settings, weights, float32, material.folder / FILE)
        too_large = {name for name, peak in precision.weight_peaks.items() if peak > LARGEST} - float32
        if not too_large:
            found = audit.by_group(audit.run(material.folder / FILE, feeds, advance), precision, FILE)
            peaks |= {name: max(peaks.get(name, 0.0), peak) for name, peak in found.items()}
            too_large = {name for name, peak in found.items() if not peak <= LARGEST}
        if not too_large:
            _refuse_all_float32(precision)
            return [_entry(name, precision, peaks) for name in precision.is_float16]
        if too_large <= float32:
            raise ParityError(f"{FILE}: {', '.join(sorted(too_large))} overflow float16 in float32 too; {gate.CURE}")
        float32 |= too_large


def _refuse_all_float32(precision: Fp16) -> None:
    products = {name: half for name, half in precision.is_float16.items() if name != "embeddings.word"}
    if not any(products.values()):
        raise ParityError(
            f"{FILE}: each of its {len(products)} layers has values above {LARGEST:,.0f} in calibration, a quarter of "
            f"float16's range, and would stay in float32; {gate.CURE}"
        )


def _entry(name: str, precision: Fp16, peaks: dict[str, float]) -> dict[str, str]:
    """One group in the manifest's table."""
    weight, value, is_float16 = precision.weight_peaks[name], peaks.get(name, 0.0), precision.is_float16[name]
    above = f", above {LARGEST:,.0f}, a quarter of float16's range"
    if weight > LARGEST:
        why = f"largest |weight| {weight:.4g}{above}"
    elif not value <= LARGEST:
        why = f"largest |value| {value:.4g} in calibration{above}"
    elif not is_float16:
        why = "follows from a layer in fp32"
    elif name in peaks:
        why = f"largest |value| {value:.4g} in calibration"
    else:
        why = f"largest |weight| {weight:.4g}"
    return {"layer": name, "recipe": "fp16" if is_float16 else "fp32", "why": why}


def _inputs(feeds: Sequence[Feed]) -> list[Feed]:
    return [{name: feed[name] for name in ("input_ids", "attention_mask")} for feed in feeds]


def _full_length(material: Material) -> tuple[list[tuple[str, ...]], list[Feed]]:
    """Calibration rows joined to texts of the model's full length, each beginning with another row."""
    length = material.max_length
    count = max(1, FULL_LENGTH_TOKENS // length)
    rows: list[tuple[str, ...]] = []
    feeds: list[Feed] = []
    for number in range(count):
        start = len(material.rows) * number // count
        turned = [*material.rows[start:], *material.rows[:start]][:length]
        row = tuple(" ".join(part)[: SEARCHED * length] for part in zip(*turned, strict=True))
        (feed,) = _inputs(parity.encode(material.tokens.tokenizer, [row], length))
        while feed["input_ids"].size < length and len(row[0]) < SEARCHED * length:
            row = tuple(f"{part} {part}" for part in row)
            (feed,) = _inputs(parity.encode(material.tokens.tokenizer, [row], length))
        rows.append(row)
        feeds.append(feed)
    return rows, feeds


def _cases(material: Material, shapes: Sequence[str], feeds: Sequence[Feed], advance: Callable[[], None]) -> list[Case]:
    """PyTorch's answers, row by row; rows of one length share a call to it."""
    expected: dict[int, Logits] = {}
    for indices in group([feed["input_ids"].size for feed in feeds], TOKENS_PER_CALL):
        together = {name: np.concatenate([feeds[index][name] for index in indices]) for name in feeds[0]}
        for index, logits in zip(indices, material.loaded.reference.logits(together), strict=True):
            expected[index] = logits[None]
            advance()
    return [Case(shape, feed, expected[index]) for index, (shape, feed) in enumerate(zip(shapes, feeds, strict=True))]
