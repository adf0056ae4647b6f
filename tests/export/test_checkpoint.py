"""Checkpoints as they lie on disk become the PyTorch model that was saved, in float32, or are refused."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import safetensors.torch
import torch

from assay_export import checkpoint
from assay_export.checkpoint import Checkpoint
from assay_export.errors import CheckpointError
from tests.export import tiny

IDS = tiny.token_ids(3, 30)

CONFIGS = {
    "deberta": tiny.deberta_config(num_hidden_layers=2),
    "modernbert": tiny.modernbert_config(num_hidden_layers=3),
}


def load(folder: Path, base: str | None = None, probes: list | None = None) -> Checkpoint:
    return checkpoint.load(checkpoint.locate(folder, base), probes or [])


def refuse(folder: Path, message: str, base: str | None = None, probes: list | None = None) -> str:
    with pytest.raises(CheckpointError, match=message) as caught:
        load(folder, base, probes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module", params=list(CONFIGS))
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    return CONFIGS[request.param]


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """A small checkpoint with full weights, to be spoiled."""
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
        refuse(folder, lost.name)

    def test_the_hash_of_the_weights_changes_with_the_weights(self, full: Path) -> None:
        before = load(full).weights_sha256
        assert load(full).weights_sha256 == before
        weights = safetensors.torch.load_file(full / "model.safetensors")
        weights["classifier.bias"] += 1
        safetensors.torch.save_file(weights, full / "model.safetensors", metadata={"format": "pt"})
        assert load(full).weights_sha256 != before

    def test_a_base_for_full_weights_is_refused(self, full: Path) -> None:
        refuse(full, "no adapter_config.json: drop --base", base="some/base")

    def test_a_model_without_a_fine_tuned_head_is_refused(self, config: dict[str, Any], tmp_path: Path) -> None:
        folder = tiny.save(tiny.model(config, head="Base"), tmp_path, config)
        assert "classifier" in refuse(folder, "parameters are not in the weight files.*would be random")

    def test_one_missing_weight_is_refused_by_name(self, full: Path) -> None:
        weights = safetensors.torch.load_file(full / "model.safetensors")
        del weights["model.layers.1.attn.Wo.weight"]
        safetensors.torch.save_file(weights, full / "model.safetensors", metadata={"format": "pt"})
        refuse(full, r"1 parameters are not in the weight files \(model.layers.1.attn.Wo.weight\)")

    def test_weights_of_another_shape_than_the_config_says_are_refused(self, full: Path) -> None:
        (full / "config.json").write_text(json.dumps(CONFIGS["modernbert"] | {"hidden_size": 64}))
        refuse(full, "cannot be loaded")

    def test_more_labels_in_the_config_than_in_the_weights_are_refused(self, full: Path) -> None:
        labels = {str(index): f"LABEL_{index}" for index in range(3)}
        changed = {"id2label": labels, "label2id": {label: int(key) for key, label in labels.items()}}
        (full / "config.json").write_text(json.dumps(CONFIGS["modernbert"] | changed))
        refuse(full, "cannot be loaded")

    @pytest.mark.parametrize("spoil", ["empty", "truncated", "garbage", "a long header", "a folder"])
    def test_a_weight_file_that_is_no_safetensors_is_refused(self, full: Path, spoil: str) -> None:
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
        refuse(full, "full")

    @pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.pth", "last.ckpt"])
    def test_pickled_weights_are_refused_unread_with_the_way_out(self, full: Path, name: str) -> None:
        (full / "model.safetensors").rename(full / name)
        message = refuse(full, "weights are pickled")
        assert name in message
        assert "safe_serialization=True" in message

    def test_pickled_arguments_of_a_trainer_beside_safetensors_do_not_matter(self, full: Path) -> None:
        (full / "training_args.bin").write_bytes(b"pickle")
        (full / "optimizer.pt").write_bytes(b"pickle")
        assert load(full).merge_delta is None

    def test_a_folder_without_weights_is_refused_as_such(self, full: Path) -> None:
        (full / "model.safetensors").unlink()
        (full / "training_args.bin").write_bytes(b"pickle")
        refuse(full, "holds no model.safetensors")


class TestConfig:
    def test_a_missing_config_is_refused(self, full: Path) -> None:
        (full / "config.json").unlink()
        refuse(full, "config.json is missing")

    @pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe{}", b"not json"])
    def test_a_config_that_is_not_json_is_refused(self, full: Path, content: bytes) -> None:
        (full / "config.json").write_bytes(content)
        refuse(full, "config.json cannot be read as JSON")

    @pytest.mark.parametrize(("content", "found"), [("[]", "list"), ("null", "NoneType"), ('"bert"', "str")])
    def test_a_config_that_is_no_object_is_refused(self, full: Path, content: str, found: str) -> None:
        (full / "config.json").write_text(content)
        refuse(full, f"holds a JSON {found}, expected an object")

    def test_a_config_that_nests_too_deep_is_refused(self, full: Path) -> None:
        (full / "config.json").write_text("[" * 200_000)
        refuse(full, "config.json cannot be read as JSON")

    @pytest.mark.parametrize("model_type", ["no-such-model", "", None, 7])
    def test_an_unknown_model_type_is_refused_by_name(self, full: Path, model_type: object) -> None:
        (full / "config.json").write_text(json.dumps(CONFIGS["modernbert"] | {"model_type": model_type}))
        refuse(full, f"model_type = {model_type!r} is unknown to transformers")

    def test_a_quantised_checkpoint_is_refused(self, full: Path) -> None:
        quantised = {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}
        (full / "config.json").write_text(json.dumps(CONFIGS["modernbert"] | quantised))
        refuse(full, "quantised .*export the original weights")

    def test_code_that_a_checkpoint_brings_along_is_not_run(self, full: Path) -> None:
        (full / "evil.py").write_text("raise SystemExit('ran the code of the checkpoint')")
        auto_map = {"AutoConfig": "evil.C", "AutoModelForSequenceClassification": "evil.M"}
        (full / "config.json").write_text(json.dumps(CONFIGS["modernbert"] | {"auto_map": auto_map}))
        assert type(load(full).reference.module).__module__.startswith("transformers.")


KINDS: dict[str, dict[str, Any]] = {
    "LoRA": {},
    "PiSSA": {"init_lora_weights": "pissa"},
    "rsLoRA": {"use_rslora": True},
    "DoRA": {"use_dora": True},
    "LoRA with biases": {"bias": "lora_only"},
}
TARGETS = {
    "deberta": ["query_proj", "key_proj", "value_proj", "output.dense"],
    "modernbert": ["attn.Wqkv", "attn.Wo", "mlp.Wi", "mlp.Wo"],
}


def make_adapter(
    folder: Path, family: str, kind: dict[str, Any], base_path: str = "../base", modules_to_save: Any = ("classifier",)
) -> Any:
    """A trained adapter in folder/adapter over folder/base, which has no classifier; returns peft's unmerged model.

    The base is a masked language model, as the published ones are. Training is played by moving every weight that
    training would move.
    """
    config = CONFIGS[family] | {"id2label": {"0": "a", "1": "b", "2": "c"}, "label2id": {"a": 0, "b": 1, "c": 2}}
    base_config = {k: v for k, v in config.items() if k not in ("id2label", "label2id", "problem_type")}
    masked = tiny.model(config, head="MaskedLM")
    tiny.save(masked, folder / "base", base_config | {"architectures": [type(masked).__name__]})
    module = tiny.model(config)
    module.load_state_dict(masked.state_dict(), strict=False)
    if family == "deberta":
        modules_to_save = [*modules_to_save, "pooler"] if modules_to_save else modules_to_save
    adapted = peft.get_peft_model(
        module,
        peft.LoraConfig(
            task_type="SEQ_CLS",
            r=4,
            lora_alpha=16,
            target_modules=TARGETS[family],
            modules_to_save=list(modules_to_save),
            **kind,
        ),
    )
    generator = torch.Generator().manual_seed(1)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    adapted.peft_config["default"].base_model_name_or_path = base_path
    adapted.save_pretrained(folder / "adapter")
    return adapted.eval()


def edit_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


class TestAdapters:
    @pytest.mark.parametrize("family", TARGETS)
    @pytest.mark.parametrize("kind", list(KINDS.values()), ids=list(KINDS))
    def test_the_merged_model_answers_as_pefts_unmerged_one(
        self, family: str, kind: dict[str, Any], tmp_path: Path, probes: list[dict]
    ) -> None:
        adapted = make_adapter(tmp_path, family, kind)
        with torch.inference_mode(), adapted.disable_adapter():
            without = adapted(input_ids=torch.from_numpy(IDS)).logits.numpy()
        loaded = load(tmp_path / "adapter", probes=probes)
        merged = tiny.logits(loaded.reference.module, IDS)
        np.testing.assert_allclose(merged, tiny.logits(adapted, IDS), atol=5e-5)
        assert np.abs(merged - without).max() > 0.05
        assert loaded.merge_delta is not None
        assert 0 < loaded.merge_delta < 5e-5
        assert not any("lora" in name for name in loaded.reference.weights())

    def test_the_head_of_the_adapter_decides_how_many_labels_there_are(
        self, tmp_path: Path, probes: list[dict]
    ) -> None:
        make_adapter(tmp_path, "modernbert", {})
        loaded = load(tmp_path / "adapter", probes=probes)
        assert loaded.config["id2label"] == {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}
        assert loaded.config["architectures"] == ["ModernBertForSequenceClassification"]

    def test_a_config_beside_the_adapter_names_its_labels(self, tmp_path: Path, probes: list[dict]) -> None:
        make_adapter(tmp_path, "modernbert", {})
        labels = {"id2label": {"0": "x", "1": "y", "2": "z"}, "label2id": {"x": 0, "y": 1, "z": 2}}
        (tmp_path / "adapter" / "config.json").write_text(json.dumps(CONFIGS["modernbert"] | labels))
        assert load(tmp_path / "adapter", probes=probes).config["id2label"] == labels["id2label"]

    def test_the_classifier_is_the_adapters_where_the_base_has_one_too(
        self, tmp_path: Path, probes: list[dict]
    ) -> None:
        adapted = make_adapter(tmp_path, "modernbert", {})
        config = json.loads((tmp_path / "base" / "config.json").read_text())
        labels = {"id2label": {"0": "a", "1": "b", "2": "c"}, "label2id": {"a": 0, "b": 1, "c": 2}}
        classifier = tiny.model(config | labels, seed=5)
        masked = safetensors.torch.load_file(tmp_path / "base" / "model.safetensors")
        classifier.load_state_dict(masked, strict=False)
        tiny.save(classifier, tmp_path / "base", config | labels)
        merged = load(tmp_path / "adapter", probes=probes).reference.module
        np.testing.assert_allclose(tiny.logits(merged, IDS), tiny.logits(adapted, IDS), atol=5e-5)

    def test_a_base_stored_in_half_precision_is_merged_in_float32(self, tmp_path: Path, probes: list[dict]) -> None:
        make_adapter(tmp_path, "modernbert", {})
        file = tmp_path / "base" / "model.safetensors"
        weights = {name: tensor.half() for name, tensor in safetensors.torch.load_file(file).items()}
        safetensors.torch.save_file(weights, file, metadata={"format": "pt"})
        edit_json(tmp_path / "base" / "config.json", torch_dtype="float16")
        loaded = load(tmp_path / "adapter", probes=probes)
        assert {array.dtype for array in loaded.reference.weights().values()} == {np.dtype(np.float32)}
        name = "model.layers.1.attn.Wqkv.weight"
        merged = loaded.reference.weights()[name]
        assert (merged != merged.astype(np.float16)).any()

    def test_the_base_is_found_relative_to_the_adapter(self, tmp_path: Path) -> None:
        make_adapter(tmp_path, "modernbert", {})
        location = checkpoint.locate(tmp_path / "adapter")
        assert location.base is not None
        assert location.base.folder == (tmp_path / "base").resolve()
        assert location.folders == (tmp_path / "adapter", (tmp_path / "base").resolve())

    def test_another_base_can_be_given(self, tmp_path: Path, probes: list[dict]) -> None:
        adapted = make_adapter(tmp_path, "modernbert", {}, base_path="/nowhere/at/all")
        loaded = load(tmp_path / "adapter", str(tmp_path / "base"), probes)
        np.testing.assert_allclose(tiny.logits(loaded.reference.module, IDS), tiny.logits(adapted, IDS), atol=5e-5)

    @pytest.mark.parametrize("named", [None, ""])
    def test_an_adapter_that_names_no_base_asks_for_one(self, tmp_path: Path, named: object) -> None:
        make_adapter(tmp_path, "modernbert", {})
        edit_json(tmp_path / "adapter" / "adapter_config.json", base_model_name_or_path=named)
        refuse(tmp_path / "adapter", "names no base model: pass it with --base")

    def test_a_base_name_that_is_no_text_is_refused(self, tmp_path: Path) -> None:
        make_adapter(tmp_path, "modernbert", {})
        edit_json(tmp_path / "adapter" / "adapter_config.json", base_model_name_or_path=["base"])
        refuse(tmp_path / "adapter", "base_model_name_or_path")

    def test_a_base_that_is_not_there_is_refused_by_name(self, tmp_path: Path) -> None:
        make_adapter(tmp_path, "modernbert", {}, base_path="../no such base")
        refuse(tmp_path / "adapter", "no such base")

    def test_an_adapter_over_an_adapter_is_refused(self, tmp_path: Path) -> None:
        make_adapter(tmp_path, "modernbert", {})
        shutil.copytree(tmp_path / "adapter", tmp_path / "second")
        refuse(tmp_path / "second", "holds no model.safetensors", base=str(tmp_path / "adapter"))

    @pytest.mark.parametrize(("part", "stem"), [("adapter", "adapter_model"), ("base", "model")])
    def test_pickled_weights_of_either_part_are_refused(self, tmp_path: Path, part: str, stem: str) -> None:
        make_adapter(tmp_path, "modernbert", {})
        (tmp_path / part / f"{stem}.safetensors").rename(tmp_path / part / f"{stem}.bin")
        assert str(tmp_path / part) in refuse(tmp_path / "adapter", "weights are pickled")

    @pytest.mark.parametrize("content", [b"", b"garbage" * 50])
    @pytest.mark.parametrize(("part", "stem"), [("adapter", "adapter_model"), ("base", "model")])
    def test_a_corrupt_weight_file_of_either_part_is_refused(
        self, tmp_path: Path, part: str, stem: str, content: bytes, probes: list[dict]
    ) -> None:
        make_adapter(tmp_path, "modernbert", {})
        (tmp_path / part / f"{stem}.safetensors").write_bytes(content)
        refuse(tmp_path / "adapter", part, probes=probes)

    def test_an_adapter_without_its_head_is_refused(self, tmp_path: Path, probes: list[dict]) -> None:
        make_adapter(tmp_path, "modernbert", {})
        file = tmp_path / "adapter" / "adapter_model.safetensors"
        weights = {name: t for name, t in safetensors.torch.load_file(file).items() if "classifier" not in name}
        safetensors.torch.save_file(weights, file, metadata={"format": "pt"})
        refuse(tmp_path / "adapter", "holds no classifier: .*modules_to_save", probes=probes)

    def test_a_head_that_is_half_in_the_adapter_is_refused_by_the_name_of_the_rest(
        self, tmp_path: Path, probes: list[dict]
    ) -> None:
        make_adapter(tmp_path, "deberta", {})
        file = tmp_path / "adapter" / "adapter_model.safetensors"
        weights = {name: t for name, t in safetensors.torch.load_file(file).items() if "pooler" not in name}
        safetensors.torch.save_file(weights, file, metadata={"format": "pt"})
        edit_json(tmp_path / "adapter" / "adapter_config.json", modules_to_save=["classifier"])
        refuse(tmp_path / "adapter", "pooler.dense.bias, pooler.dense.weight", probes=probes)

    def test_lora_weights_that_are_missing_from_the_adapter_are_refused(
        self, tmp_path: Path, probes: list[dict]
    ) -> None:
        make_adapter(tmp_path, "modernbert", {})
        file = tmp_path / "adapter" / "adapter_model.safetensors"
        weights = {name: t for name, t in safetensors.torch.load_file(file).items() if "layers.1." not in name}
        safetensors.torch.save_file(weights, file, metadata={"format": "pt"})
        refuse(tmp_path / "adapter", "asks for are not in the weight files .*layers.1", probes=probes)

    def test_weights_of_the_adapter_that_the_model_has_no_place_for_are_refused(
        self, tmp_path: Path, probes: list[dict]
    ) -> None:
        make_adapter(tmp_path, "modernbert", {})
        edit_json(tmp_path / "adapter" / "adapter_config.json", target_modules=["attn.Wqkv", "attn.Wo"])
        refuse(tmp_path / "adapter", "have no place in the model .*mlp.Wi.lora_A", probes=probes)

    def test_an_adapter_for_another_architecture_is_refused(self, tmp_path: Path, probes: list[dict]) -> None:
        make_adapter(tmp_path, "modernbert", {})
        make_adapter(tmp_path / "other", "deberta", {})
        refuse(tmp_path / "other" / "adapter", "cannot be loaded|not in", base=str(tmp_path / "base"), probes=probes)

    @pytest.mark.parametrize("content", ["{}", "[]", '{"peft_type": "NONSENSE"}', '{"peft_type": "LORA"}'])
    def test_an_adapter_config_that_says_nothing_useful_is_refused(
        self, tmp_path: Path, content: str, probes: list[dict]
    ) -> None:
        make_adapter(tmp_path, "modernbert", {})
        (tmp_path / "adapter" / "adapter_config.json").write_text(content)
        refuse(tmp_path / "adapter", "adapter", base=str(tmp_path / "base"), probes=probes)

    def test_a_merge_that_moves_the_logits_is_refused(
        self, tmp_path: Path, probes: list[dict], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_adapter(tmp_path, "modernbert", {})
        merge: Callable[..., Any] = peft.tuners.lora.LoraModel.merge_and_unload

        def merge_wrongly(self: Any, *args: Any, **options: Any) -> Any:
            module = merge(self, *args, **options)
            module.classifier.bias.data += 0.001
            return module

        monkeypatch.setattr(peft.tuners.lora.LoraModel, "merge_and_unload", merge_wrongly)
        refuse(tmp_path / "adapter", r"moved a logit by 1\.0e-03", probes=probes)

    def test_a_merge_that_gives_nan_is_refused(self, tmp_path: Path, probes: list[dict]) -> None:
        make_adapter(tmp_path, "modernbert", {})
        file = tmp_path / "adapter" / "adapter_model.safetensors"
        weights = safetensors.torch.load_file(file)
        weights[next(name for name in weights if "lora_A" in name)].fill_(float("nan"))
        safetensors.torch.save_file(weights, file, metadata={"format": "pt"})
        refuse(tmp_path / "adapter", "adapter", probes=probes)


def test_a_file_of_the_checkpoint_that_cannot_be_read_is_refused(full: Path) -> None:
    (full / "config.json").unlink()
    os.mkfifo(full / "x")
    (full / "config.json").mkdir()
    refuse(full, "config.json cannot be read")
