"""The weights of a checkpoint are those that transformers loads; what a wild folder has beside or instead of them."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from assay_export.checkpoint.weight_files import find_weights, read_shapes, read_tensor_names
from assay_export.errors import CheckpointError
from tests.export import tiny
from tests.export.checkpoints import CONFIGS, assert_refused, edit_json, load

CONFIG = CONFIGS["modernbert"]


@pytest.fixture
def full(tmp_path: Path) -> Path:
    return tiny.save(tiny.model(CONFIG), tmp_path / "full", CONFIG)


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    return tiny.save(tiny.model(CONFIG), tmp_path / "shards", CONFIG, max_shard_size="30KB")


def change(folder: Path, **tensors: torch.Tensor) -> None:
    """Replace tensors of model.safetensors; "__" in a name stands for a dot."""
    file = folder / "model.safetensors"
    named = {name.replace("__", "."): tensor for name, tensor in tensors.items()}
    safetensors.torch.save_file(safetensors.torch.load_file(file) | named, file, metadata={"format": "pt"})


def rename(folder: Path, prefix: str) -> None:
    file = folder / "model.safetensors"
    renamed = {prefix + name: tensor for name, tensor in safetensors.torch.load_file(file).items()}
    safetensors.torch.save_file(renamed, file, metadata={"format": "pt"})


class TestWhatIsLoaded:
    def test_files_that_transformers_does_not_load_decide_nothing(self, full: Path, shards: Path) -> None:
        expected = load(full)
        for name in ("model.fp16.safetensors", "model_old.safetensors", "model_z_head.safetensors"):
            other = {"classifier.weight": torch.zeros(7, 32)}
            safetensors.torch.save_file(other, full / name, metadata={"format": "pt"})
        for file in shards.glob("model*"):
            shutil.copy(file, full)
        loaded = load(full)
        assert loaded.files.weights == (full / "model.safetensors",)
        assert loaded.files.outputs == expected.files.outputs
        assert loaded.weights_sha256 == expected.weights_sha256

    def test_the_shards_of_the_index_are_the_weights_and_a_stale_one_is_not(self, shards: Path) -> None:
        named = set(json.loads((shards / "model.safetensors.index.json").read_text())["weight_map"].values())
        other = {"classifier.weight": torch.zeros(7, 32)}
        safetensors.torch.save_file(other, shards / "model-00009-of-00009.safetensors", metadata={"format": "pt"})
        assert {path.name for path in find_weights(shards, "model")} == named
        assert load(shards).files.outputs == len(CONFIG["id2label"])

    def test_names_and_shapes_are_those_of_all_shards(self, full: Path, shards: Path) -> None:
        assert read_shapes(find_weights(shards, "model")) == read_shapes(find_weights(full, "model"))
        assert "classifier.weight" in read_tensor_names(find_weights(shards, "model"))

    def test_double_precision_is_loaded(self, full: Path) -> None:
        expected = load(full).reference.weights()
        file = full / "model.safetensors"
        doubled = {name: tensor.double() for name, tensor in safetensors.torch.load_file(file).items()}
        safetensors.torch.save_file(doubled, file, metadata={"format": "pt"})
        found = load(full).reference.weights()
        assert all(np.array_equal(found[name], weight) for name, weight in expected.items())


class TestWhatIsRefused:
    def test_a_shard_that_the_index_names_and_nobody_copied(self, shards: Path) -> None:
        lost = find_weights(shards, "model")[1]
        lost.unlink()
        message = assert_refused(shards, "of them are missing")
        assert "model.safetensors.index.json names" in message
        assert lost.name in message

    def test_shards_without_their_index(self, shards: Path) -> None:
        (shards / "model.safetensors.index.json").unlink()
        assert_refused(shards, "but no model.safetensors.index.json")

    @pytest.mark.parametrize(
        "index", [{}, {"weight_map": {}}, {"weight_map": []}, {"weight_map": {"a": 1}}, {"weight_map": {"a": "../x"}}]
    )
    def test_an_index_that_names_no_files_beside_it(self, index: Any, shards: Path) -> None:
        (shards / "model.safetensors.index.json").write_text(json.dumps(index))
        assert_refused(shards, "weight_map does not name the file of each tensor")

    def test_an_index_without_metadata(self, shards: Path) -> None:
        edit_json(shards / "model.safetensors.index.json", metadata=None)
        assert_refused(shards, "metadata = None, expected an object")

    def test_an_index_that_names_a_tensor_that_is_in_no_file(self, shards: Path) -> None:
        index = shards / "model.safetensors.index.json"
        places = json.loads(index.read_text())["weight_map"]
        first = next(iter(places.values()))
        edit_json(index, weight_map=dict.fromkeys(places, first))
        assert_refused(shards, "is in the index, but in none of the files that it names")

    def test_an_index_that_leaves_out_a_tensor(self, shards: Path) -> None:
        index = shards / "model.safetensors.index.json"
        places = json.loads(index.read_text())["weight_map"]
        del places["classifier.weight"]
        edit_json(index, weight_map=places)
        assert_refused(shards, "'classifier.weight' is in a file, but not in the index")

    def test_a_folder_of_checkpoints_with_their_names(self, full: Path) -> None:
        step = full.parent / "run" / "checkpoint-500"
        shutil.copytree(full, step)
        (full / "model.safetensors").unlink()
        shutil.copytree(full, step.parent, dirs_exist_ok=True)
        assert_refused(step.parent, "it contains checkpoint-500: export one of these")
        assert load(step).files.weights

    @pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
    def test_a_pointer_of_git_lfs(self, name: str, full: Path) -> None:
        (full / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
        assert name in assert_refused(full, "is a pointer of Git LFS, expected .* run git lfs pull")

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes and symbolic links")
    @pytest.mark.parametrize("kind", ["folder", "pipe", "loop"])
    def test_weights_that_are_no_file(self, kind: str, full: Path) -> None:
        file = full / "model.safetensors"
        file.unlink()
        if kind == "folder":
            file.mkdir()
        elif kind == "pipe":
            os.mkfifo(file)
        else:
            file.symlink_to(file.name)
        assert_refused(full, "model.safetensors is not a file here")

    @pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.float8_e4m3fn])
    def test_quantised_weights_that_the_config_does_not_mention(self, dtype: torch.dtype, full: Path) -> None:
        """Without their scales, 8-bit floats would be loaded as other numbers."""
        change(full, classifier__weight=torch.ones(5, 32).to(dtype), classifier__weight_scale=torch.ones(1))
        assert_refused(full, "classifier.weight has the type .*: the checkpoint is quantised")

    @pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model."])
    def test_weights_of_a_wrapper_around_the_model(self, prefix: str, full: Path) -> None:
        rename(full, prefix)
        assert_refused(full, f"the files have them with {prefix!r} before their names.*save the model that is inside")

    @pytest.mark.parametrize("metadata", [{"format": "tf"}, {"format": "np"}, {"of": "somebody"}])
    def test_weights_of_another_library(
        self, metadata: dict[str, str], full: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        file = full / "model.safetensors"
        safetensors.torch.save_file(safetensors.torch.load_file(file), file, metadata=metadata)
        assert_refused(full, f"the format in its metadata is {metadata.get('format')!r}, expected one of pt, mlx")
        assert not capfd.readouterr().err

    def test_pickled_weights_alone(self, full: Path) -> None:
        (full / "model.safetensors").rename(full / "pytorch_model.bin")
        with pytest.raises(CheckpointError, match="the weights are pickled"):
            find_weights(full, "model")


def test_buffers_of_integers_are_no_quantised_weights(full: Path) -> None:
    change(full, model__embeddings__position_ids=torch.arange(5))
    assert load(full).files.weights


@pytest.mark.parametrize("metadata", [None, {"format": "mlx"}])
def test_weights_that_transformers_takes_for_those_of_pytorch_are_loaded(
    metadata: dict[str, str] | None, full: Path
) -> None:
    file = full / "model.safetensors"
    safetensors.torch.save_file(safetensors.torch.load_file(file), file, metadata=metadata)
    assert load(full).files.weights
