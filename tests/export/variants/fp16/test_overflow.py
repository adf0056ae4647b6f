"""Values beyond float16's range are found, and traced to the groups that have to stay in float32."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from assay_export.errors import ParityError
from assay_export.variants.fp16 import overflow
from assay_export.variants.fp16.graph import LARGEST, Fp16
from tests.export import tiny
from tests.export.variants.fp16 import half

FEEDS = [half.make_feed(tiny.token_ids(1, length)) for length in (5, 30)]


def measure_group_peaks(
    module: Any, config: dict[str, Any], folder: Path, float32: set[str] | None = None
) -> dict[str, float]:
    path = folder / "model_fp16.onnx"
    precision = half.author(module, config, path, float32 or set())
    peaks = overflow.measure_peaks(path, FEEDS)
    assert sorted(entry.name for entry in folder.iterdir()) == ["model_fp16.onnx", "model_fp16.onnx_data"]
    return overflow.find_group_peaks(peaks, precision, "model_fp16.onnx")


def scale_weight(config: dict[str, Any], name: str, factor: float, rows: slice = slice(None)) -> Any:
    module = tiny.model(config)
    with torch.no_grad():
        module.state_dict()[name][rows] *= factor
    return module


def test_every_group_of_an_ordinary_model_is_within_the_limit(tmp_path: Path) -> None:
    for config in (half.DEBERTA, half.MODERNBERT):
        folder = tmp_path / config["model_type"]
        folder.mkdir()
        precision = half.author(tiny.model(config), config, tmp_path / "names.onnx")
        peaks = measure_group_peaks(tiny.model(config), config, folder)
        assert set(peaks) == set(precision.is_float16) - {"embeddings.word"}  # looked up, not computed
        assert all(0 < peak < 100 for peak in peaks.values())


@pytest.mark.parametrize(
    ("config", "weight", "rows", "too_large"),
    [
        # Attention averages values, so the projection after it reads values as large as those before it.
        (
            half.DEBERTA,
            "deberta.encoder.layer.0.attention.self.value_proj.weight",
            slice(None),
            {"layer.0.query_key_value", "layer.0.attention.output.dense"},
        ),
        (
            half.DEBERTA,
            "deberta.encoder.layer.0.intermediate.dense.weight",
            slice(None),
            {"layer.0.intermediate.dense", "layer.0.output.dense"},
        ),
        # Only the gate half is scaled, but both halves and their product are one group.
        (
            half.MODERNBERT,
            "model.layers.1.mlp.Wi.weight",
            slice(40, None),
            {"layers.1.mlp.Wi", "layers.1.mlp.Wo"},
        ),
    ],
)
def test_the_groups_that_compute_and_read_a_large_value_are_named(
    config: dict[str, Any], weight: str, rows: slice, too_large: set[str], tmp_path: Path
) -> None:
    peaks = measure_group_peaks(scale_weight(config, weight, 1e4, rows), config, tmp_path)
    assert {group for group, peak in peaks.items() if peak > LARGEST} == too_large
    # With these groups in float32, no large value is stored in float16.
    again = measure_group_peaks(scale_weight(config, weight, 1e4, rows), config, tmp_path, too_large)
    assert all(peak <= LARGEST for peak in again.values())


def test_scores_that_are_too_large_are_traced_to_the_projection_of_query_and_key(tmp_path: Path) -> None:
    config = half.MODERNBERT
    # Scaled by 1e3 each, query and key stay within the limit, but their product does not.
    peaks = measure_group_peaks(
        scale_weight(config, "model.layers.1.attn.Wqkv.weight", 1e3, slice(0, 64)), config, tmp_path
    )
    assert {group for group, peak in peaks.items() if peak > LARGEST} == {"layers.1.attn.Wqkv"}


def test_a_large_value_that_belongs_to_no_group_is_refused() -> None:
    precision = Fp16()
    precision.groups_of = {"orphan": set()}
    assert overflow.find_group_peaks({"orphan": 1.0}, precision, "x.onnx") == {}
    for peak in (1e5, float("nan"), float("inf")):
        with pytest.raises(ParityError, match="orphan reaches"):
            overflow.find_group_peaks({"orphan": peak}, precision, "x.onnx")


def test_a_peak_is_the_largest_over_all_feeds(tmp_path: Path) -> None:
    config = half.DEBERTA
    path = tmp_path / "model.onnx"
    half.author(tiny.model(config), config, path)
    apart = [overflow.measure_peaks(path, [feed]) for feed in FEEDS]
    together = overflow.measure_peaks(path, FEEDS)
    for name, peak in together.items():
        assert peak == max(peaks[name] for peaks in apart)
        assert np.isfinite(peak)
