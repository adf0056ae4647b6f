"""Measure on calibration text how large the values are that the fp16 graph stores in float16.

The graph runs in float32 (emulation.py). At 8,192 tokens the scores of one layer take 4 GB, so attention runs in chunks
(chunked_attention.py), each value is reduced to its extremes as soon as it is computed, and only scalars are returned.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from assay_export.checkpoint.reference import Feed
from assay_export.errors import ParityError
from assay_export.graphs import cpu_session
from assay_export.variants.fp16 import chunked_attention, emulation
from assay_export.variants.fp16.graph import LARGEST, Fp16

__all__ = ["find_group_peaks", "measure_peaks"]


def measure_peaks(path: Path, feeds: Sequence[Feed], advance: Callable[[], None] = lambda: None) -> dict[str, float]:
    """Measure the largest |element| of each computed float16 value of the graph at `path`, over all feeds.

    Returns:
        The peaks by the names of the values.
    """
    peaks: dict[str, float] = {}
    for chunks in sorted({chunked_attention.count_chunks(feed) for feed in feeds}):
        alike = [feed for feed in feeds if chunked_attention.count_chunks(feed) == chunks]
        for name, peak in _measure(path, alike, chunks, advance).items():
            peaks[name] = max(peaks.get(name, 0.0), peak)
    return peaks


def _measure(path: Path, feeds: Sequence[Feed], chunks: int, advance: Callable[[], None]) -> dict[str, float]:
    emulated = path.with_name(f"{path.stem}.peaks.onnx")
    try:
        names = emulation.write(path, emulated, rounded=False, peaks=True, attention_chunks=chunks)
        if not names:
            return {}
        session = cpu_session.load(emulated, "disabled", keep_memory=False, in_order=True)
        peaks = dict.fromkeys(names.values(), 0.0)
        outputs = [emulation.name_peak_output(name, end) for name in names for end in ("ReduceMax", "ReduceMin")]
        for feed in feeds:
            ends = np.abs(np.array(session.run(outputs, feed), np.float64)).reshape(-1, 2).max(axis=1)
            for name, peak in zip(names.values(), ends.tolist(), strict=True):
                peaks[name] = max(peaks[name], peak)
            advance()
    finally:
        emulated.unlink(missing_ok=True)
    return peaks


def find_group_peaks(peaks: Mapping[str, float], precision: Fp16, file: str) -> dict[str, float]:
    """Find the largest |value| of each group of the graph.

    Args:
        peaks: The largest |element| of each value.
        precision: The precision that the graph was written with, which knows the groups of each value.
        file: The graph's name in the bundle, for messages.

    Returns:
        The peaks by the names of the groups. Values that belong to no group are left out.

    Raises:
        ParityError: A value that belongs to no group is too large for float16, so no layer can be left in float32 to
            avoid the overflow.
    """
    result: dict[str, float] = {}
    for name, peak in peaks.items():
        groups = precision.groups_of[name]
        if not groups and not peak <= LARGEST:
            raise ParityError(
                f"{file}: {name} reaches {peak:.3g} in calibration, expected at most {LARGEST:,.0f} in float16, and it "
                "belongs to no layer that could stay in float32; nothing was written. Export --variants fp32"
            )
        for group in groups:
            result[group] = max(result.get(group, 0.0), peak)
    return result
