"""Graphs of encoders with pooled embeddings, in every dialect, against PyTorch's module of the same parts."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx_ir as ir
import pytest
import torch

from assay.ort import kernels
from assay_export.checkpoint.reference import ReferenceModel
from assay_export.checkpoint.setfit.linear_head import LinearHead
from assay_export.checkpoint.setfit.module import SentenceClassifier
from assay_export.checkpoint.setfit.sentences import SetFitFiles
from assay_export.errors import CheckpointError, UnsupportedConfigError
from assay_export.graphs.architectures import AUTHORED
from assay_export.graphs.embedding_head import EmbeddingHead
from assay_export.graphs.net import Net
from assay_export.graphs.weights import WeightFile
from assay_export.graphs.writer import Dialect
from tests.export import setfit_models, tiny

Pooling = Literal["cls", "mean"]
NO_FILE = Path("model_head.pkl")


def build(encoder: str, pooling: Pooling, normalized: bool, width: int = 32) -> SentenceClassifier:
    draw = np.random.default_rng(1).standard_normal
    head = LinearHead(draw((3, width)).astype(np.float32), draw(3).astype(np.float32), (0, 1, 2), "softmax")
    files = SetFitFiles(Path(), pooling, normalized, None, head, ("a", "b", "c"), NO_FILE)
    return SentenceClassifier(tiny.model(setfit_models.ENCODERS[encoder], head="Base"), files).eval()


def write(encoder: str, module: Any, dialect: Dialect, folder: Path) -> Path:
    config = setfit_models.ENCODERS[encoder] | {"layer_types": ["full_attention", "sliding_attention"]}
    architecture = AUTHORED[config["model_type"]]
    settings = architecture.read_config(config).for_embeddings(EmbeddingHead(module.pooling, module.normalized))
    with WeightFile(folder / "model.onnx_data") as file:
        net = Net(architecture.ARCHITECTURE, dialect, file)
        ir.save(architecture.author(net, settings, ReferenceModel(module).weights()), folder / "model.onnx")
    return folder / "model.onnx"


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("encoder", setfit_models.ENCODERS)
def test_a_graph_pools_as_pytorch_does(
    encoder: str, pooling: Pooling, normalized: bool, dialect: Dialect, tmp_path: Path
) -> None:
    if dialect is Dialect.KERNELS and (problem := kernels.find_problem()):
        pytest.skip(problem)
    module = build(encoder, pooling, normalized)
    session = tiny.session(write(encoder, module, dialect, tmp_path), dialect)
    ids = 4 + tiny.token_ids(3, 17) % 50  # RoBERTa counts no padding
    masks = [np.ones_like(ids)]
    if dialect is Dialect.PORTABLE:
        masks.append(tiny.right_padding(17))
    for mask in masks:
        ids = np.where(mask == 1, ids, setfit_models.ENCODERS[encoder]["pad_token_id"])
        found = session.run(["logits"], tiny.feed(dialect, ids, mask))[0]
        assert np.abs(found - tiny.logits(module, ids, mask)).max() < tiny.ROUNDING


def test_an_embedding_of_no_length_is_not_divided_by_zero(tmp_path: Path) -> None:
    module = build("bert", "cls", True)
    norm = module.get_submodule("bert.encoder.layer.1.output.LayerNorm")
    with torch.no_grad():
        for parameter in norm.parameters():
            parameter.zero_()
    path = write("bert", module, Dialect.CPU, tmp_path)
    found = tiny.session(path).run(["logits"], {"input_ids": tiny.token_ids(1, 5)})[0]
    assert np.array_equal(found[0], module.classifier.bias.detach().numpy())


def test_an_encoder_of_another_width_than_the_head_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"reads embeddings of 16 channels, and the encoder's have 32"):
        build("bert", "mean", False, width=16)


def test_an_architecture_whose_head_reads_the_first_token_only_is_refused() -> None:
    settings = AUTHORED["deberta-v2"].read_config(tiny.deberta_config())
    with pytest.raises(UnsupportedConfigError, match="no authored graph for SetFit models whose encoder is a deberta"):
        settings.for_embeddings(EmbeddingHead("mean", False))
