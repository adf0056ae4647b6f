"""Peers of the suite: raw logits in label order, and the mode that assay is loaded in."""

from pathlib import Path

import numpy as np
import pytest

from assay.bundle import manifest
from benchmarks.suite import peers
from benchmarks.suite.setup import Mode, Setup
from tests.conftest import CHECKPOINTS

PAIRS = [("What causes rain?", "Rain forms when water vapour cools."), ("Why?", "No idea, sorry.")]


@pytest.mark.parametrize("mode", ["latency", "throughput"])
def test_the_pipeline_returns_the_raw_logits_of_the_model_in_label_order(mode: Mode, tmp_path: Path) -> None:
    folder = str(CHECKPOINTS / "pair-classifier")
    setup = Setup(folder, folder, str(tmp_path), "pair", "classification", 512, "cpu", 1, False)
    answers = []
    for peer in ("torch-fp32", "transformers-pipeline"):
        made = peers.make(peer, setup, mode)
        made.load()
        answers.append(made.run(PAIRS))
    assert answers[0].shape == (2, 5)
    assert np.allclose(answers[0], answers[1], atol=1e-5)


def test_assay_is_loaded_in_the_mode_that_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("assay.load", lambda *_, mode: asked.append(mode))
    setup = Setup("checkpoint", str(tmp_path), str(tmp_path), "pair", "classification", 512, "cpu", 1, False)
    modes: tuple[Mode, ...] = ("latency", "throughput")
    for mode in modes:
        peers.make("assay-fp32", setup, mode).load()
    assert asked == ["latency", "throughput"]


def test_assay_int8_of_a_stand_in_is_the_ungated_graph_for_the_kernels(pair_bundle: Path, tmp_path: Path) -> None:
    setup = Setup(
        str(CHECKPOINTS / "pair-classifier"),
        str(pair_bundle),
        str(tmp_path),
        input="pair",
        task="classification",
        max_length=512,
        device="cpu",
        threads=1,
        random_weights=True,
    )
    peers.prepare("assay-int8", setup)
    names = [file.name for file in peers.list_files("assay-int8", setup)]
    assert names == ["model_int8.onnx", "model_int8.onnx_data", "tokenizer.json"]
    (entry,) = manifest.read(tmp_path / "bundle-int8" / manifest.MANIFEST_NAME).variants["int8"].values()
    assert entry.is_packed
    assert entry.parity == {"gate": "none: random weights, for speed only"}
    peer = peers.make("assay-int8", setup, "latency")
    peer.load()
    assert np.isfinite(peer.run(PAIRS)).all()
