"""A checkpoint on disk is loaded as the PyTorch model that was saved, in float32, or refused."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from assay_export.checkpoint.files import open_files
from assay_export.checkpoint.head import read_head
from assay_export.errors import CheckpointError
from tests.export import tiny
from tests.export.checkpoints import CONFIGS, IDS, assert_refused, edit_json, load


@pytest.fixture(scope="module", params=list(CONFIGS))
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    return CONFIGS[request.param]


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """A small checkpoint with full weights, for the tests to damage."""
    return tiny.save(tiny.model(CONFIGS["modernbert"]), tmp_path / "full", CONFIGS["modernbert"])


class TestFullWeights:
    def test_the_loaded_model_is_the_saved_one(self, config: dict[str, Any], tmp_path: Path) -> None:
        module = tiny.model(config)
        loaded = load(tiny.save(module, tmp_path, config))
        answer = loaded.reference.logits({"input_ids": IDS, "attention_mask": IDS * 0 + 1})
        np.testing.assert_allclose(answer, tiny.logits(module, IDS), atol=tiny.ROUNDING)
        assert loaded.merge_delta is None
        assert loaded.config == config
        assert not loaded.reference.module.training

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_weights_stored_in_half_precision_are_float32_and_keep_their_values(
        self, config: dict[str, Any], dtype: torch.dtype, tmp_path: Path
    ) -> None:
        module = tiny.model(config)
        for parameter in module.parameters():  # .to(dtype) would also round the frequencies of the rotations
            parameter.data = parameter.data.to(dtype)
        name = str(dtype).removeprefix("torch.")
        loaded = load(tiny.save(module, tmp_path, {**config, "torch_dtype": name}))
        assert {array.dtype for array in loaded.reference.weights().values()} == {np.dtype(np.float32)}
        np.testing.assert_allclose(
            tiny.logits(loaded.reference.module, IDS), tiny.logits(module.float(), IDS), atol=tiny.ROUNDING
        )

    def test_shards_are_read_together(self, config: dict[str, Any], tmp_path: Path) -> None:
        module = tiny.model(config)
        folder = tiny.save(module, tmp_path, config, max_shard_size="30KB")
        assert len(list(folder.glob("model-*.safetensors"))) > 2
        np.testing.assert_allclose(
            tiny.logits(load(folder).reference.module, IDS), tiny.logits(module, IDS), atol=tiny.ROUNDING
        )

    def test_a_lost_shard_is_refused(self, tmp_path: Path) -> None:
        folder = tiny.save(tiny.model(CONFIGS["deberta"]), tmp_path, max_shard_size="30KB")
        lost = sorted(folder.glob("model-*.safetensors"))[1]
        lost.unlink()
        assert_refused(folder, lost.name)

    def test_the_hash_of_the_weights_changes_with_the_weights(self, full: Path) -> None:
        before = load(full).weights_sha256
        assert load(full).weights_sha256 == before
        weights = safetensors.torch.load_file(full / "model.safetensors")
        weights["classifier.bias"] += 1
        safetensors.torch.save_file(weights, full / "model.safetensors", metadata={"format": "pt"})
        assert load(full).weights_sha256 != before

    def test_a_base_for_full_weights_is_refused(self, full: Path) -> None:
        assert_refused(full, "no adapter_config.json: drop --base", base="some/base")

    def test_a_model_without_a_fine_tuned_head_is_refused(self, config: dict[str, Any], tmp_path: Path) -> None:
        folder = tiny.save(tiny.model(config, head="Base"), tmp_path, config)
        assert "classifier" in assert_refused(folder, "parameters are not in the weight files.*would be random")

    def test_a_missing_weight_is_refused_by_name(self, full: Path) -> None:
        weights = safetensors.torch.load_file(full / "model.safetensors")
        del weights["model.layers.1.attn.Wo.weight"]
        safetensors.torch.save_file(weights, full / "model.safetensors", metadata={"format": "pt"})
        assert_refused(full, r"1 parameter is not in the weight files \(model.layers.1.attn.Wo.weight\)")

    def test_weights_whose_shape_contradicts_the_config_are_refused(self, full: Path) -> None:
        (full / "config.json").write_text(json.dumps(CONFIGS["modernbert"] | {"hidden_size": 64}))
        message = assert_refused(
            full, r"has the shape \[.*32.*\] in the weight files, expected \[.*64.*\] by config.json"
        )
        assert " more; copy the config.json" in message

    def test_more_labels_in_the_config_than_in_the_weights_are_refused(self, full: Path) -> None:
        """By head.py, which knows whether the user names the labels."""
        labels = {str(index): f"LABEL_{index}" for index in range(3)}
        changed = {"id2label": labels, "label2id": {label: int(key) for key, label in labels.items()}}
        (full / "config.json").write_text(json.dumps(CONFIGS["modernbert"] | changed))
        assert load(full).reference.module.config.num_labels == 1
        with pytest.raises(CheckpointError, match=r"3 labels are named .* the classifier has 1 output"):
            read_head(open_files(full))

    @pytest.mark.parametrize("spoil", ["empty", "truncated", "garbage", "a long header", "a folder"])
    def test_a_weight_file_that_is_not_safetensors_is_refused(self, full: Path, spoil: str) -> None:
        file = full / "model.safetensors"
        content = file.read_bytes()
        file.unlink()
        if spoil == "a folder":
            file.mkdir()
        else:
            file.write_bytes(
                {
                    "empty": b"",
                    "truncated": content[: len(content) // 2],
                    "garbage": b"\x80\x02}q\x00." * 100,
                    "a long header": (1 << 62).to_bytes(8, "little") + content[8:],
                }[spoil]
            )
        assert_refused(full, "full")

    @pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.pth", "last.ckpt"])
    def test_pickled_weights_are_refused_unread_with_what_to_do(self, full: Path, name: str) -> None:
        (full / "model.safetensors").rename(full / name)
        message = assert_refused(full, "weights are pickled")
        assert name in message
        assert "safe_serialization=True" in message

    def test_pickled_training_arguments_next_to_safetensors_are_ignored(self, full: Path) -> None:
        (full / "training_args.bin").write_bytes(b"pickle")
        (full / "optimizer.pt").write_bytes(b"pickle")
        assert load(full).merge_delta is None

    def test_a_folder_without_weights_is_refused(self, full: Path) -> None:
        (full / "model.safetensors").unlink()
        (full / "training_args.bin").write_bytes(b"pickle")
        assert_refused(full, "contains no model.safetensors")


class TestArchitecture:
    @pytest.mark.parametrize("kind", ["TokenClassification", "QuestionAnswering", "MultipleChoice", "MaskedLM"])
    def test_another_architecture_is_refused_by_name_even_if_the_weights_have_the_names_of_a_classifier(
        self, full: Path, kind: str
    ) -> None:
        edit_json(full / "config.json", architectures=[f"ModernBertFor{kind}"])
        assert_refused(
            full, rf"architectures = \['ModernBertFor{kind}'\], expected ModernBertForSequenceClassification: only"
        )

    @pytest.mark.parametrize(
        "named", ["ModernBertForSequenceClassification", ["MyForSequenceClassification"], [1], {"a": 1}], ids=str
    )
    def test_architectures_that_do_not_name_the_class_of_transformers_are_refused(
        self, full: Path, named: object
    ) -> None:
        edit_json(full / "config.json", architectures=named)
        assert_refused(full, "architectures = .*only sequence classifiers")

    @pytest.mark.parametrize("named", [None, [], "missing"])
    def test_a_config_without_architectures_is_loaded_if_the_weights_are_complete(
        self, full: Path, named: object
    ) -> None:
        config = json.loads((full / "config.json").read_text()) | {"architectures": named}
        if named == "missing":
            del config["architectures"]
        (full / "config.json").write_text(json.dumps(config))
        assert type(load(full).reference.module).__name__ == "ModernBertForSequenceClassification"

    def test_a_model_type_without_a_sequence_classifier_is_refused(self, full: Path) -> None:
        edit_json(full / "config.json", model_type="vit", architectures=None)
        assert_refused(full, "model_type = 'vit' has no sequence classifier")


def test_labels_that_transformers_cannot_read_do_not_keep_a_model_from_loading(full: Path) -> None:
    """So that those of the user count."""
    edit_json(full / "config.json", id2label={"zero": "a"}, label2id=["a"], num_labels="one")
    assert load(full).reference.module.config.num_labels == 1
    assert read_head(open_files(full), labels=("score",)).labels == ("score",)


class TestConfig:
    def test_a_missing_config_is_refused(self, full: Path) -> None:
        (full / "config.json").unlink()
        assert_refused(full, "config.json is missing")

    @pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe{}", b"not json"])
    def test_a_config_that_is_not_json_is_refused(self, full: Path, content: bytes) -> None:
        (full / "config.json").write_bytes(content)
        assert_refused(full, "config.json cannot be read as JSON")

    @pytest.mark.parametrize(("content", "found"), [("[]", "list"), ("null", "NoneType"), ('"bert"', "str")])
    def test_a_config_that_is_not_an_object_is_refused(self, full: Path, content: str, found: str) -> None:
        (full / "config.json").write_text(content)
        assert_refused(full, f"contains a JSON {found}, expected an object")

    def test_a_config_that_nests_too_deep_is_refused(self, full: Path) -> None:
        (full / "config.json").write_text("[" * 200_000)
        assert_refused(full, "config.json cannot be read as JSON")

    @pytest.mark.parametrize("model_type", ["no-such-model", "", None, 7])
    def test_an_unknown_model_type_is_refused_by_name(self, full: Path, model_type: object) -> None:
        (full / "config.json").write_text(json.dumps(CONFIGS["modernbert"] | {"model_type": model_type}))
        assert_refused(full, f"model_type = {model_type!r} is unknown to transformers")

    def test_a_quantised_checkpoint_is_refused(self, full: Path) -> None:
        quantised = {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}
        (full / "config.json").write_text(json.dumps(CONFIGS["modernbert"] | quantised))
        assert_refused(full, "quantised .*export the original weights")

    def test_code_in_a_checkpoint_is_not_run(self, full: Path) -> None:
        (full / "evil.py").write_text("raise SystemExit('ran the code of the checkpoint')")
        auto_map = {"AutoConfig": "evil.C", "AutoModelForSequenceClassification": "evil.M"}
        (full / "config.json").write_text(json.dumps(CONFIGS["modernbert"] | {"auto_map": auto_map}))
        assert type(load(full).reference.module).__module__.startswith("transformers.")


@pytest.mark.parametrize("changes", [{"return_dict": False}, {"torchscript": True}, {"chunk_size_feed_forward": 7}])
def test_keys_that_change_only_the_form_of_answers_or_their_memory_change_nothing(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    config = tiny.bert_config()
    folder = tiny.save(tiny.model(config), tmp_path, config)
    expected = load(folder).reference.logits({"input_ids": IDS, "attention_mask": np.ones_like(IDS)})
    edit_json(folder / "config.json", **changes)
    found = load(folder).reference.logits({"input_ids": IDS, "attention_mask": np.ones_like(IDS)})
    assert np.array_equal(found, expected)


def test_what_transformers_logs_of_its_errors_does_not_stand_beside_the_refusal(
    full: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    edit_json(full / "config.json", use_return_dict=False)
    assert_refused(full, "cannot be loaded: AttributeError: .*use_return_dict")
    assert not capfd.readouterr().err


def test_a_file_of_the_checkpoint_that_cannot_be_read_is_refused(full: Path) -> None:
    (full / "config.json").unlink()
    os.mkfifo(full / "x")
    (full / "config.json").mkdir()
    assert_refused(full, "config.json cannot be read")


@pytest.mark.parametrize("changes", [{"pad_token_id": 1_000}, {"num_attention_heads": 0}, {"hidden_size": "32"}])
def test_a_value_over_which_a_library_fails_in_a_way_of_its_own_is_refused(full: Path, changes: dict[str, Any]) -> None:
    """An AssertionError, a ZeroDivisionError, and an exception of huggingface_hub or a TypeError."""
    edit_json(full / "config.json", **changes)
    assert_refused(full, "full cannot be loaded: [A-Za-z]*Error: ")
