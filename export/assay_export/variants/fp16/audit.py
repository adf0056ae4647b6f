"""The overflow audit: how large the values are that the fp16 graph would store in float16, on calibration text.

The graph is run in float32 (float32_twin.py), each of its float16 values with its largest |element| as an output; at
8,192 tokens one layer's scores are 4 GB, so attention runs in blocks (query_blocks.py), each value is reduced as soon
as it is computed, and nothing but scalars comes out.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from assay_export.checkpoint.reference import Feed
from assay_export.errors import ParityError
from assay_export.graphs import cpu_session
from assay_export.variants.fp16 import float32_twin, query_blocks
from assay_export.variants.fp16.graph import LARGEST, Fp16


def run(path: Path, feeds: Sequence[Feed], advance: Callable[[], None] = lambda: None) -> dict[str, float]:
    """The largest |element| of each computed float16 value of the graph at `path` over `feeds`, by the value's name."""
    peaks: dict[str, float] = {}
    for blocks in sorted({query_blocks.count(feed) for feed in feeds}):
        alike = [feed for feed in feeds if query_blocks.count(feed) == blocks]
        for name, peak in _run(path, alike, blocks, advance).items():
            peaks[name] = max(peaks.get(name, 0.0), peak)
    return peaks


def _run(path: Path, feeds: Sequence[Feed], blocks: int, advance: Callable[[], None]) -> dict[str, float]:
    twin = path.with_name(f"{path.stem}.audit.onnx")
    try:
        names = float32_twin.write(path, twin, rounded=False, peaks=True, attention_blocks=blocks)
        if not names:
            return {}
        session = cpu_session.load(twin, "disabled", keep_memory=False, in_order=True)
        peaks = dict.fromkeys(names.values(), 0.0)
        outputs = [float32_twin.peak_output(name, end) for name in names for end in ("ReduceMax", "ReduceMin")]
        for feed in feeds:
            ends = np.abs(np.array(session.run(outputs, feed), np.float64)).reshape(-1, 2).max(axis=1)
            for name, peak in zip(names.values(), ends.tolist(), strict=True):
                peaks[name] = max(peaks[name], peak)
            advance()
    finally:
        twin.unlink(missing_ok=True)
    return peaks


def by_group(peaks: Mapping[str, float], precision: Fp16, file: str) -> dict[str, float]:
    """The largest |value| of each group of the graph that `precision` wrote. Values of no group are constants' at most.

    Raises:
        ParityError: a value is too large for float16, and no group that could stay in float32 computes it.
    """
    result: dict[str, float] = {}
    for name, peak in peaks.items():
        groups = precision.groups_of[name]
        if not groups and not peak <= LARGEST:
            raise ParityError(
                f"{file}: {name} reaches {peak:.3g} in calibration, expected at most {LARGEST:,.0f} in float16, and no "
                "layer that could stay in float32 computes it; nothing was written. Export --variants fp32"
            )
        for group in groups:
            result[group] = max(result.get(group, 0.0), peak)
    return result
