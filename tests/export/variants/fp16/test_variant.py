"""The fp16 variant end to end on the demo checkpoints, as they are and modified to overflow float16."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import assay
from assay_export import export
from assay_export.errors import ExportError, ParityError
from assay_export.variants.fp16 import overflow, variant
from assay_export.variants.fp16.gate import MAX_DELTA
from tests.conftest import CHECKPOINTS, held_out
from tests.export.variants.int8.outliers import inject_into_deberta_values, inject_into_modernbert
from tests.export.variants.int8.stand_ins import change_weights, merge_scorer

VARIANTS = ["fp32", "fp16"]


def enlarge_classifier_values(folder: Path) -> Path:
    """Scale two value channels of every layer beyond 65504, and the projection that reads them down by as much."""
    shutil.copytree(CHECKPOINTS / "pair-classifier", folder)
    return change_weights(
        folder, CHECKPOINTS / "pair-classifier", lambda state: inject_into_deberta_values(state, (2, 40), 1e6)
    )


def enlarge_scorer_values(folder: Path) -> Path:
    """Do the same in two layers, for norm gains, value channels and the gate half of the feed-forward."""

    def change(state: dict[str, torch.Tensor]) -> None:
        two = {
            name: tensor for name, tensor in state.items() if name.startswith(("model.layers.0.", "model.layers.1."))
        }
        inject_into_modernbert(two, (3, 17), 1e6)  # in place

    return merge_scorer(folder, change)


def enlarge_attention_scores(folder: Path) -> Path:
    """Scale queries and keys of the first layer so that each fits float16 and their products do not."""

    def change(state: dict[str, torch.Tensor]) -> None:
        weight = state["model.layers.0.attn.Wqkv.weight"]
        weight[: 2 * weight.shape[1]] *= 100

    return merge_scorer(folder, change)


@pytest.mark.parametrize("name", ["pair-classifier", "complexity-adapter"])
def test_a_demo_checkpoint_passes_and_the_runtime_loads_the_variant_by_name(name: str, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    manifest = export(str(CHECKPOINTS / name), bundle, variants=VARIANTS)
    graph = manifest.variants["fp16"]["portable"]
    assert graph.files == ("onnx/model_fp16.onnx", "onnx/model_fp16.onnx_data")
    assert graph.parity["max_abs_delta"] <= graph.parity["threshold"] == MAX_DELTA
    assert graph.parity["flips"] == 0
    assert f"text of {manifest.max_length} tokens" in {entry["shape"] for entry in graph.parity["shapes"]}
    assert {layer["recipe"] for layer in graph.layers} == {"fp16"}
    sizes = [manifest.files[f"onnx/model{infix}.onnx_data"].size for infix in ("", "_fp16")]
    assert sizes[1] < 0.65 * sizes[0]
    expected = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()} - {"assay.json"}
    assert set(manifest.files) == expected

    assert assay.load(bundle).info["variant"] == "fp32"  # "auto" on a CPU
    model, exact = assay.load(bundle, variant="fp16"), assay.load(bundle, variant="fp32")
    assert model.info["graph"] == "onnx/model_fp16.onnx"
    if manifest.input == "pair":
        rows = [(row["text"], row["text_pair"]) for row in held_out("pairs")[:80]]
        assert (model.logits(rows).argmax(-1) == exact.logits(rows).argmax(-1)).all()
    else:
        rows = [row["text"] for row in held_out("instructions")[:80]]
    assert 0 < np.abs(model.logits(rows) - exact.logits(rows)).max() <= MAX_DELTA


@pytest.mark.parametrize(
    ("make", "in_float32"),
    [
        (enlarge_classifier_values, {"layer.0.attention.output.dense", "layer.1.attention.output.dense"}),
        (
            enlarge_scorer_values,
            {"layers.1.attn.Wqkv", "layers.1.mlp.Wi", "layers.1.mlp.Wo", "layers.1.attn.Wo"},
        ),
        (enlarge_attention_scores, {"layers.0.attn.Wqkv"}),
    ],
)
def test_a_checkpoint_that_overflows_float16_passes_only_with_layers_in_float32(
    make: Callable[[Path], Path], in_float32: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = make(tmp_path / "checkpoint")
    graph = export(str(checkpoint), tmp_path / "bundle", variants=VARIANTS).variants["fp16"]["portable"]
    recipes = {layer["layer"]: layer["recipe"] for layer in graph.layers}
    assert {name for name, recipe in recipes.items() if recipe == "fp32"} >= in_float32
    assert "fp16" in recipes.values()
    assert all("above 16,376" in layer["why"] for layer in graph.layers if layer["layer"] in in_float32)
    info = subprocess.run(
        [sys.executable, "-m", "assay", "info", str(tmp_path / "bundle")], capture_output=True, text=True, check=True
    ).stdout
    assert all(any(name in line and " fp32 " in line for line in info.splitlines()) for name in in_float32)

    # Without the check for overflow and the search, the gate refuses the same checkpoint.
    monkeypatch.setattr(overflow, "find_group_peaks", lambda *_: {})
    monkeypatch.setattr(variant, "find_fewest", lambda *_: None)
    with pytest.raises(ParityError, match=r"model_fp16.onnx.* (answers NaN or infinity|differs from PyTorch)"):
        export(str(checkpoint), tmp_path / "naive", variants=VARIANTS)
    assert not (tmp_path / "naive").exists()


def test_a_checkpoint_that_amplifies_rounding_passes_only_with_the_most_damaging_layers_in_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = str(CHECKPOINTS / "pair-classifier-outliers")
    graph = export(checkpoint, tmp_path / "bundle", variants=VARIANTS).variants["fp16"]["portable"]
    assert graph.parity["max_abs_delta"] <= graph.parity["threshold"] == MAX_DELTA == 2e-2
    assert graph.parity["flips"] == 0
    in_float32 = [layer for layer in graph.layers if layer["recipe"] == "fp32"]
    assert 0 < len(in_float32) < len(graph.layers)
    assert any("alone moved logits by" in layer["why"] for layer in in_float32)

    # Without layers in float32, the gate refuses the same checkpoint.
    monkeypatch.setattr(variant, "find_fewest", lambda *_: None)
    with pytest.raises(ParityError, match=r"model_fp16.onnx.* differs from PyTorch by .*nothing was written"):
        export(checkpoint, tmp_path / "naive", variants=VARIANTS)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_checkpoint_with_logits_too_large_for_float16_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    def change(state: dict[str, torch.Tensor]) -> None:
        # The logits become tens of thousands, which float16 hidden states cannot represent to 2e-2.
        state["classifier.weight"] *= 1e4

    checkpoint = merge_scorer(tmp_path / "checkpoint", change)
    with pytest.raises(ExportError, match=r"PyTorch by .*nothing was written"):
        export(str(checkpoint), tmp_path / "bundle", variants=VARIANTS)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_an_architecture_without_an_authored_graph_is_refused(tmp_path: Path) -> None:
    from transformers import AlbertConfig, AlbertForSequenceClassification

    small = AlbertConfig(vocab_size=60, hidden_size=16, embedding_size=8, num_attention_heads=2, intermediate_size=16)
    AlbertForSequenceClassification(small).save_pretrained(tmp_path / "albert")
    with pytest.raises(ExportError, match="fp16: needs an authored graph"):
        export(str(tmp_path / "albert"), tmp_path / "bundle", variants=VARIANTS)
    assert [path.name for path in tmp_path.iterdir()] == ["albert"]
