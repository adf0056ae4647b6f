"""Weights and config.json must describe the same model: nothing is random, and no trained part is left out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from tests.export import tiny
from tests.export.checkpoints import IDS, assert_refused, edit_json, load


def _save(folder: Path, config: dict[str, Any], **changes: Any) -> Path:
    tiny.save(tiny.model(config), folder)
    edit_json(folder / "config.json", **changes)
    return folder


def _add_tensors(folder: Path, *names: str) -> None:
    file = folder / "model.safetensors"
    tensors = safetensors.torch.load_file(file) | {name: torch.ones(4) for name in names}
    safetensors.torch.save_file(tensors, file, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("config", "changes", "unused"),
    [
        (tiny.deberta_config(), {"num_hidden_layers": 1}, "deberta.encoder.layer.1.attention"),
        (tiny.modernbert_config(), {"num_hidden_layers": 1}, "model.layers.1.attn.Wo.weight"),
        (tiny.bert_config("bert"), {"num_hidden_layers": 2}, "bert.encoder.layer.2.attention"),
        (tiny.bert_config("roberta"), {"num_hidden_layers": 2}, "roberta.encoder.layer.2.attention"),
        (tiny.distilbert_config(), {"n_layers": 1}, "distilbert.transformer.layer.1.attention"),
    ],
    ids=["deberta", "modernbert", "bert", "roberta", "distilbert"],
)
def test_layers_that_config_json_leaves_out_are_refused(
    config: dict[str, Any], changes: dict[str, Any], unused: str, tmp_path: Path
) -> None:
    message = assert_refused(_save(tmp_path, config, **changes), "config.json describes a model without")
    assert unused in message


@pytest.mark.parametrize(
    ("config", "changes", "unused"),
    [
        (tiny.modernbert_config(attention_bias=True), {"attention_bias": False}, "attn.Wo.bias"),
        (tiny.modernbert_config(norm_bias=True), {"norm_bias": False}, "head.norm.bias"),
        (tiny.deberta_config(conv_kernel_size=3), {"conv_kernel_size": 0}, "deberta.encoder.conv.LayerNorm.bias"),
        (tiny.deberta_config(share_att_key=False), {"share_att_key": True}, "pos_key_proj"),
        (tiny.bert_config("electra"), {"embedding_size": 32, "hidden_size": 32}, r"has the shape \[24\]"),
    ],
    ids=["attention_bias", "norm_bias", "conv_kernel_size", "share_att_key", "embedding_size"],
)
def test_a_part_of_a_layer_that_config_json_leaves_out_is_refused(
    config: dict[str, Any], changes: dict[str, Any], unused: str, tmp_path: Path
) -> None:
    assert_refused(_save(tmp_path, config, **changes), unused)


def test_a_module_below_the_encoder_that_config_json_leaves_out_is_refused(tmp_path: Path) -> None:
    """Here the shapes agree, so that nothing but the unused weights tells."""
    folder = _save(tmp_path, tiny.bert_config("electra", embedding_size=32))
    _add_tensors(folder, "electra.embeddings_project.weight")
    assert_refused(
        folder, r"a model without 1 weight that is in the weight files \(electra.embeddings_project.weight\)"
    )


def test_scales_beside_the_weights_are_refused(tmp_path: Path) -> None:
    folder = _save(tmp_path, tiny.bert_config("bert"))
    _add_tensors(folder, "bert.encoder.layer.0.output.dense.weight_scale")
    assert_refused(folder, "weight_scale")


@pytest.mark.parametrize(
    ("model_type", "names"),
    [
        ("bert", ("cls.predictions.transform.dense.weight", "cls.seq_relationship.bias")),
        ("roberta", ("lm_head.dense.weight", "roberta.pooler.dense.weight")),
        ("electra", ("discriminator_predictions.dense.weight",)),
    ],
)
def test_the_weights_of_another_head_are_ignored(model_type: str, names: tuple[str, ...], tmp_path: Path) -> None:
    config = tiny.bert_config(model_type)
    folder = _save(tmp_path, config)
    expected = tiny.logits(tiny.model(config), IDS)
    _add_tensors(folder, *names)
    np.testing.assert_allclose(tiny.logits(load(folder).reference.module, IDS), expected, atol=tiny.ROUNDING)
