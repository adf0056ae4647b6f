"""The fp16 variant end to end on the demo checkpoints (trained stand-ins), as they are and made to overflow float16."""

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
from assay_export.variants.fp16 import audit
from assay_export.variants.fp16.gate import MAX_DELTA
from tests.conftest import CHECKPOINTS, held_out
from tests.export.variants.int8.outliers import inject_into_deberta_values, inject_into_modernbert
from tests.export.variants.int8.stand_ins import changed, merged_scorer

VARIANTS = ["fp32", "fp16"]


def overflowing_classifier(folder: Path) -> Path:
    """Two value channels of every layer beyond 65504, and the projection that reads them as much smaller."""
    shutil.copytree(CHECKPOINTS / "pair-classifier", folder)
    return changed(
        folder, CHECKPOINTS / "pair-classifier", lambda state: inject_into_deberta_values(state, (2, 40), 1e6)
    )


def overflowing_scorer(folder: Path) -> Path:
    """The same in two layers, with norm gains, value channels and the gate half of the feed-forward."""

    def change(state: dict[str, torch.Tensor]) -> None:
        two = {
            name: tensor for name, tensor in state.items() if name.startswith(("model.layers.0.", "model.layers.1."))
        }
        inject_into_modernbert(two, (3, 17), 1e6)  # in place

    return merged_scorer(folder, change)


def overflowing_scores(folder: Path) -> Path:
    """Queries and keys of the first layer of ordinary size each, with products beyond 65504: a saturated softmax."""

    def change(state: dict[str, torch.Tensor]) -> None:
        weight = state["model.layers.0.attn.Wqkv.weight"]
        weight[: 2 * weight.shape[1]] *= 100

    return merged_scorer(folder, change)


@pytest.mark.parametrize("name", ["pair-classifier", "complexity-adapter"])
def test_a_demo_checkpoint_passes_and_the_runtime_answers_from_it_when_asked_for_it_by_name(
    name: str, tmp_path: Path
) -> None:
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
        (overflowing_classifier, {"layer.0.attention.output.dense", "layer.1.attention.output.dense"}),
        (overflowing_scorer, {"layers.1.attn.Wqkv", "layers.1.mlp.Wi", "layers.1.mlp.Wo", "layers.1.attn.Wo"}),
        (overflowing_scores, {"layers.0.attn.Wqkv"}),
    ],
)
def test_a_checkpoint_that_overflows_float16_fails_as_it_is_and_passes_with_layers_in_float32(
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

    # The same with an audit that sees nothing.
    monkeypatch.setattr(audit, "by_group", lambda *_: {})
    with pytest.raises(ParityError, match=r"model_fp16.onnx.* (answers NaN or infinity|differs from PyTorch)"):
        export(str(checkpoint), tmp_path / "naive", variants=VARIANTS)
    assert not (tmp_path / "naive").exists()


def test_a_checkpoint_that_magnifies_rounding_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(ParityError, match=r"model_fp16.onnx.* differs from PyTorch by .*nothing was written"):
        export(str(CHECKPOINTS / "pair-classifier-outliers"), tmp_path / "bundle", variants=VARIANTS)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_that_no_float16_comes_near_to_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    def change(state: dict[str, torch.Tensor]) -> None:
        # Logits of some tens of thousands: float16 hidden states cannot hold them to 2e-2.
        state["classifier.weight"] *= 1e4

    checkpoint = merged_scorer(tmp_path / "checkpoint", change)
    with pytest.raises(ExportError, match=r"PyTorch by .*nothing was written"):
        export(str(checkpoint), tmp_path / "bundle", variants=VARIANTS)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_an_architecture_without_an_authored_graph_is_refused(tmp_path: Path) -> None:
    from transformers import BertConfig, BertForSequenceClassification

    small = BertConfig(vocab_size=60, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    BertForSequenceClassification(small).save_pretrained(tmp_path / "bert")
    with pytest.raises(ExportError, match="fp16: needs an authored graph"):
        export(str(tmp_path / "bert"), tmp_path / "bundle", variants=VARIANTS)
    assert [path.name for path in tmp_path.iterdir()] == ["bert"]
