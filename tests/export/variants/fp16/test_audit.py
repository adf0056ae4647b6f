"""The audit finds what exceeds float16's range and names what has to stay in float32 for it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from assay_export.errors import ParityError
from assay_export.variants.fp16 import audit
from assay_export.variants.fp16.graph import LARGEST, Fp16
from tests.export import tiny
from tests.export.variants.fp16 import half

FEEDS = [half.feed(tiny.token_ids(1, length)) for length in (5, 30)]


def found(module: Any, config: dict[str, Any], folder: Path, float32: set[str] | None = None) -> dict[str, float]:
    path = folder / "model_fp16.onnx"
    precision = half.author(module, config, path, float32 or set())
    peaks = audit.run(path, FEEDS)
    assert sorted(entry.name for entry in folder.iterdir()) == ["model_fp16.onnx", "model_fp16.onnx_data"]
    return audit.by_group(peaks, precision, "model_fp16.onnx")


def scaled(config: dict[str, Any], name: str, factor: float, rows: slice = slice(None)) -> Any:
    module = tiny.model(config)
    with torch.no_grad():
        module.state_dict()[name][rows] *= factor
    return module


def test_every_group_of_an_ordinary_model_is_within_the_limit(tmp_path: Path) -> None:
    for config in (half.DEBERTA, half.MODERNBERT):
        folder = tmp_path / config["model_type"]
        folder.mkdir()
        precision = half.author(tiny.model(config), config, tmp_path / "names.onnx")
        peaks = found(tiny.model(config), config, folder)
        assert set(peaks) == set(precision.is_float16) - {"embeddings.word"}  # looked up, not computed
        assert all(0 < peak < 100 for peak in peaks.values())


@pytest.mark.parametrize(
    ("config", "weight", "rows", "too_large"),
    [
        # Values are convex combinations afterwards: the projection that reads them is as exposed as what makes them.
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
        # The gate half alone: both halves and their product are one group.
        (
            half.MODERNBERT,
            "model.layers.1.mlp.Wi.weight",
            slice(40, None),
            {"layers.1.mlp.Wi", "layers.1.mlp.Wo"},
        ),
    ],
)
def test_what_makes_a_large_value_and_what_reads_it_are_named(
    config: dict[str, Any], weight: str, rows: slice, too_large: set[str], tmp_path: Path
) -> None:
    peaks = found(scaled(config, weight, 1e4, rows), config, tmp_path)
    assert {group for group, peak in peaks.items() if peak > LARGEST} == too_large
    # And in float32 they are stored in float16 no more, nor is what follows from them.
    again = found(scaled(config, weight, 1e4, rows), config, tmp_path, too_large)
    assert all(peak <= LARGEST for peak in again.values())


def test_scores_too_large_are_laid_to_the_projection_of_query_and_key(tmp_path: Path) -> None:
    config = half.MODERNBERT
    # 1e3 each: q and k stay within the limit, and their product does not.
    peaks = found(scaled(config, "model.layers.1.attn.Wqkv.weight", 1e3, slice(0, 64)), config, tmp_path)
    assert {group for group, peak in peaks.items() if peak > LARGEST} == {"layers.1.attn.Wqkv"}


def test_a_value_that_no_group_computes_is_refused() -> None:
    precision = Fp16()
    precision.groups_of = {"orphan": set()}
    assert audit.by_group({"orphan": 1.0}, precision, "x.onnx") == {}
    for peak in (1e5, float("nan"), float("inf")):
        with pytest.raises(ParityError, match="orphan reaches"):
            audit.by_group({"orphan": peak}, precision, "x.onnx")


def test_a_peak_is_the_largest_over_all_feeds(tmp_path: Path) -> None:
    config = half.DEBERTA
    path = tmp_path / "model.onnx"
    half.author(tiny.model(config), config, path)
    apart = [audit.run(path, [feed]) for feed in FEEDS]
    together = audit.run(path, FEEDS)
    for name, peak in together.items():
        assert peak == max(peaks[name] for peaks in apart)
        assert np.isfinite(peak)
