"""The variant int8 end to end on the demo checkpoints, as they are and with outlier channels."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import assay
from assay.bundle.folder import open_bundle
from assay.bundle.manifest import Graph
from assay.ort import kernels
from assay_export import export
from assay_export.errors import ExportError, ParityError
from assay_export.variants.int8.gate import Limits, excess, measure
from tests.conftest import CHECKPOINTS, held_out
from tests.export.variants.int8.outliers import inject_into_deberta_values, inject_into_modernbert
from tests.export.variants.int8.stand_ins import change_weights, merge_scorer, write_calibration

needs_kernels = pytest.mark.skipif(kernels.find_problem() is not None, reason="the CPU kernels are not installed")


def read_graph(bundle: Path) -> Graph:
    return open_bundle(bundle).manifest.variants["int8"]["kernels"]


def export_int8(checkpoint: Path, rows: str, folder: Path) -> Graph:
    calibration = write_calibration(rows, folder)
    manifest = export(str(checkpoint), folder / "bundle", variants=["fp32", "int8"], calibration=calibration)
    assert manifest.variants["fp32"]["cpu"].parity["max_abs_delta"] <= 1e-4
    graph = manifest.variants["int8"]["kernels"]
    assert excess(dict(graph.parity), Limits()) <= 1
    return graph


def list_recipes(graph: Graph) -> dict[str, str]:
    return {layer["layer"]: layer["recipe"] for layer in graph.layers}


def test_a_classifier_answers_almost_like_fp32(int8_pair_bundle: Path) -> None:
    pairs = [(row["text"], row["text_pair"]) for row in held_out("pairs")]
    logits = assay.load(int8_pair_bundle, variant="int8").logits(pairs)
    exact = assay.load(int8_pair_bundle, variant="fp32").logits(pairs)
    assert np.abs(logits - exact).max() > 0
    assert excess(measure(logits, exact, "softmax"), Limits()) <= 1


def test_a_scorer_answers_almost_like_fp32(int8_scorer_bundle: Path) -> None:
    texts = [row["text"] for row in held_out("instructions")]
    logits = assay.load(int8_scorer_bundle, variant="int8").logits(texts)
    exact = assay.load(int8_scorer_bundle, variant="fp32").logits(texts)
    assert np.abs(logits - exact).max() > 0
    assert excess(measure(logits, exact, "identity"), Limits()) <= 1


@pytest.mark.parametrize("bundle", ["int8_pair_bundle", "int8_scorer_bundle"])
def test_the_manifest_says_what_each_layer_is_and_what_it_cost(bundle: str, request: pytest.FixtureRequest) -> None:
    graph = read_graph(request.getfixturevalue(bundle))
    recipes = list_recipes(graph)
    assert len(recipes) == len(graph.layers)
    assert recipes["embeddings.word"] == "int8"
    assert sum(name.endswith(".attention") for name in recipes) >= 3
    assert all(layer["why"].startswith("relative output error") for layer in graph.layers)
    assert graph.parity["rows"] >= 200
    assert graph.parity["instruction_set"] == kernels.read_instruction_set()
    assert graph.parity["time_over_plain_int8"] == 1.0  # nothing in these models needs a remedy
    assert "of plain int8's time" in graph.parity["summary"]
    assert excess(dict(graph.parity), Limits()) <= 1


def test_the_weights_take_about_a_quarter_of_those_in_float32(int8_pair_bundle: Path) -> None:
    size = {path.name: path.stat().st_size for path in (int8_pair_bundle / "onnx").iterdir()}
    assert size["model_int8.onnx_data"] < 0.4 * size["model.onnx_data"]


@needs_kernels
@pytest.mark.parametrize(("channels", "factor"), [((3, 17), 300.0), ((40,), 3000.0)])
def test_a_scorer_with_injected_outliers_passes(channels: tuple[int, ...], factor: float, tmp_path: Path) -> None:
    folder = merge_scorer(tmp_path / "checkpoint", lambda state: inject_into_modernbert(state, channels, factor))
    recipes = list_recipes(export_int8(folder, "instructions", tmp_path))
    # What produces the outliers absorbs the smoothing, so that no layer takes longer or stays in float32.
    assert (
        recipes["layers.1.attn.Wqkv"] == recipes["layers.1.attn.Wo"] == recipes["layers.1.mlp.Wo"] == "int8, smoothed"
    )
    assert [name for name, recipe in recipes.items() if "fp32" in recipe] == ["head.classifier"]


@needs_kernels
def test_a_classifier_with_injected_outliers_passes(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(CHECKPOINTS / "pair-classifier", folder)
    change_weights(folder, CHECKPOINTS / "pair-classifier", lambda s: inject_into_deberta_values(s, (2, 40), 500.0))
    recipes = list_recipes(export_int8(folder, "pairs", tmp_path))
    assert {recipes[f"layer.{index}.attention.output.dense"] for index in range(3)} == {"int8, smoothed"}
    assert [name for name, recipe in recipes.items() if "fp32" in recipe] == ["head.classifier"]


@needs_kernels
def test_a_classifier_trained_with_outliers_passes_and_stays_int8(tmp_path: Path) -> None:
    graph = export_int8(CHECKPOINTS / "pair-classifier-outliers", "pairs", tmp_path)
    recipes = list_recipes(graph)
    # Nothing can absorb the outliers of the residual stream: they are multiplied in float32, and nothing else is.
    assert any("fp32 columns" in recipe for recipe in recipes.values())
    assert [name for name, recipe in recipes.items() if recipe == "fp32"] == ["head.classifier"]
    assert graph.parity["time_over_plain_int8"] <= 1.15


@needs_kernels
def test_a_checkpoint_that_cannot_pass_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    rows = write_calibration("instructions", tmp_path)
    with pytest.raises(ParityError, match=r"no int8 graph passes the gate; closest: .*the most damage are"):
        export(
            str(CHECKPOINTS / "complexity-adapter"),
            tmp_path / "bundle",
            variants=["fp32", "int8"],
            calibration=rows,
            max_drift=1e-9,
        )
    assert [path.name for path in tmp_path.iterdir()] == ["calibration.jsonl"]


def test_without_kernels_the_export_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "assay_kernels", None)  # its import fails
    rows = write_calibration("pairs", tmp_path)
    with pytest.raises(ExportError, match=r"int8 needs the CPU kernels.*pip install assay-kernels"):
        export(str(CHECKPOINTS / "pair-classifier"), tmp_path / "bundle", variants=["fp32", "int8"], calibration=rows)
    assert [path.name for path in tmp_path.iterdir()] == ["calibration.jsonl"]
