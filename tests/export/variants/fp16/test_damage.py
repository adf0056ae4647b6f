"""The damage of a group is what the rounding of its weights and values alone does to the logits."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from assay_export.checkpoint.reference import Feed
from assay_export.graphs.architectures import AUTHORED
from assay_export.graphs.writer import Array
from assay_export.variants.fp16 import emulation
from assay_export.variants.fp16.damage import measure_damage
from tests.export import tiny
from tests.export.variants.fp16 import half

CONFIGS = {"deberta": half.DEBERTA, "modernbert": half.MODERNBERT}
IDS = tiny.token_ids(6, 30)
FEED: Feed = {"input_ids": IDS, "attention_mask": np.ones_like(IDS)}


def measure(module: Any, config: dict[str, Any], folder: Path, float32: tuple[str, ...] = ()) -> dict[str, float]:
    architecture = AUTHORED[config["model_type"]]
    weights = {name: tensor.detach().numpy() for name, tensor in module.state_dict().items()}
    return measure_damage(architecture, architecture.read_config(config), weights, float32, FEED, folder)


def run_emulated(module: Any, config: dict[str, Any], folder: Path, float32: set[str]) -> Array:
    """Return the logits of the emulated fp16 graph with some groups in float32."""
    half.author(module, config, folder / "model.onnx", float32)
    emulation.write(folder / "model.onnx", folder / "emulated.onnx", rounded=True)
    return np.asarray(tiny.session(folder / "emulated.onnx").run(["logits"], FEED)[0])


def measure_difference(logits: Array, expected: Array) -> float:
    return float(np.sqrt(np.square(logits - expected).mean()))


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_every_group_in_float16_is_measured(config: dict[str, Any], tmp_path: Path) -> None:
    module = tiny.model(config)
    precision = half.author(module, config, tmp_path / "model.onnx")
    damage = measure(module, config, tmp_path)
    assert set(damage) == {name for name, is_float16 in precision.is_float16.items() if is_float16}
    assert all(0 < value < 1e-2 for value in damage.values())


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_the_damage_of_a_group_is_that_of_the_graph_with_all_others_in_float32(
    config: dict[str, Any], tmp_path: Path
) -> None:
    module = tiny.model(config)
    damage = measure(module, config, tmp_path)
    # Not PyTorch's logits: rotations are in float16 whatever the groups are.
    exact = run_emulated(module, config, tmp_path, set(damage))
    # A table is never alone in float16, because its queries and keys belong to another group.
    for name in [name for name in damage if "position" not in name][::3]:
        alone = run_emulated(module, config, tmp_path, set(damage) - {name})
        assert damage[name] == pytest.approx(measure_difference(alone, exact), rel=0.2), name


def test_damage_adds_up_like_noise(tmp_path: Path) -> None:
    module = tiny.model(half.DEBERTA)
    together = measure_difference(run_emulated(module, half.DEBERTA, tmp_path, set()), tiny.logits(module, IDS))
    expected = float(np.linalg.norm(list(measure(module, half.DEBERTA, tmp_path).values())))
    assert expected / 3 < together < expected * 3


def test_a_layer_with_large_attention_scores_does_the_most_damage(tmp_path: Path) -> None:
    module = tiny.model(half.MODERNBERT)
    with torch.no_grad():
        module.state_dict()["model.layers.1.attn.Wqkv.weight"][:64] *= 8  # queries and keys
    damage = measure(module, half.MODERNBERT, tmp_path)
    assert max(damage, key=lambda name: damage[name]) == "layers.1.attn.Wqkv"


def test_groups_that_stay_in_float32_are_not_measured(tmp_path: Path) -> None:
    module = tiny.model(half.DEBERTA)
    every = measure(module, half.DEBERTA, tmp_path)
    first, *others = every
    assert set(measure(module, half.DEBERTA, tmp_path, (first,))) <= set(others)
