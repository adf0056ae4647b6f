"""An adapter is merged into its base, in float32, without changing the logits, or refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import safetensors.torch
import torch

from assay_export.checkpoint.files import open_files
from assay_export.checkpoint.head import read_head
from assay_export.checkpoint.reference import Feed
from assay_export.errors import CheckpointError
from tests.export import tiny
from tests.export.checkpoints import CONFIGS, IDS, assert_refused, edit_json, load

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
    """Save a trained adapter in folder/adapter and its base, without a classifier, in folder/base.

    The base is a masked language model, like the published ones. Every weight that training would change is changed at
    random. Returns peft's unmerged model.
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
    adapted.save_pretrained(str(folder / "adapter"))
    return adapted.eval()


def scale_classifier(adapter: Path, factor: float) -> None:
    """Multiply the classifier of a saved adapter, and so its logits, by `factor`."""
    file = adapter / "adapter_model.safetensors"
    weights = safetensors.torch.load_file(file)
    scaled = {name: weight * factor if "classifier" in name else weight for name, weight in weights.items()}
    safetensors.torch.save_file(scaled, file, metadata={"format": "pt"})


def drop_classifier(adapter: Path) -> None:
    """Remove the head from a saved adapter; peft saves one for SEQ_CLS whatever it is asked for."""
    file = adapter / "adapter_model.safetensors"
    kept = {name: weight for name, weight in safetensors.torch.load_file(file).items() if "classifier" not in name}
    safetensors.torch.save_file(kept, file, metadata={"format": "pt"})
    edit_json(adapter / "adapter_config.json", modules_to_save=None)


def merge_wrongly(monkeypatch: pytest.MonkeyPatch, by: float) -> None:
    """Let peft's merge move every logit by `by`."""
    merge: Callable[..., Any] = peft.tuners.lora.LoraModel.merge_and_unload

    def add(self: Any, *args: Any, **options: Any) -> Any:
        module = merge(self, *args, **options)
        module.classifier.bias.data += by
        return module

    monkeypatch.setattr(peft.tuners.lora.LoraModel, "merge_and_unload", add)


class TestAdapters:
    @pytest.mark.parametrize("family", TARGETS)
    @pytest.mark.parametrize("kind", list(KINDS.values()), ids=list(KINDS))
    def test_the_merged_model_computes_the_logits_of_the_unmerged_one(
        self, family: str, kind: dict[str, Any], tmp_path: Path, probes: list[Feed]
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
        self, tmp_path: Path, probes: list[Feed]
    ) -> None:
        make_adapter(tmp_path, "modernbert", {})
        loaded = load(tmp_path / "adapter", probes=probes)
        assert loaded.config["id2label"] == {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}
        assert loaded.config["architectures"] == ["ModernBertForSequenceClassification"]

    @pytest.mark.parametrize("part", ["classifier", "lora_A", "lora_B"])
    def test_a_weight_without_a_number_is_named(self, part: str, tmp_path: Path, probes: list[Feed]) -> None:
        make_adapter(tmp_path, "modernbert", {})
        file = tmp_path / "adapter" / "adapter_model.safetensors"
        weights = safetensors.torch.load_file(file)
        next(weight for name, weight in weights.items() if part in name).view(-1)[0] = float("nan")
        safetensors.torch.save_file(weights, file, metadata={"format": "pt"})
        with pytest.raises(CheckpointError, match=rf"NaN or infinity at real text.*: \S*{part}\S* has NaN"):
            load(tmp_path / "adapter", probes=probes)

    def test_a_config_in_the_adapters_folder_names_its_labels(self, tmp_path: Path, probes: list[Feed]) -> None:
        make_adapter(tmp_path, "modernbert", {})
        labels = {"id2label": {"0": "x", "1": "y", "2": "z"}, "label2id": {"x": 0, "y": 1, "z": 2}}
        (tmp_path / "adapter" / "config.json").write_text(json.dumps(CONFIGS["modernbert"] | labels))
        assert load(tmp_path / "adapter", probes=probes).config["id2label"] == labels["id2label"]

    def test_what_a_config_in_the_adapters_folder_says_of_the_encoder_is_ignored(
        self, tmp_path: Path, probes: list[Feed]
    ) -> None:
        adapted = make_adapter(tmp_path, "modernbert", {})
        (tmp_path / "adapter" / "config.json").write_text('{"norm_eps": 0.5, "num_hidden_layers": 1}')
        merged = load(tmp_path / "adapter", probes=probes).reference.module
        np.testing.assert_allclose(tiny.logits(merged, IDS), tiny.logits(adapted, IDS), atol=5e-5)

    def test_the_base_may_have_a_classifier_with_another_number_of_outputs(
        self, tmp_path: Path, probes: list[Feed]
    ) -> None:
        adapted = make_adapter(tmp_path, "modernbert", {})
        file = tmp_path / "base" / "model.safetensors"
        tensors = safetensors.torch.load_file(file)
        tensors |= {"classifier.weight": torch.ones(7, 32), "classifier.bias": torch.ones(7)}
        safetensors.torch.save_file(tensors, file, metadata={"format": "pt"})
        merged = load(tmp_path / "adapter", probes=probes).reference.module
        np.testing.assert_allclose(tiny.logits(merged, IDS), tiny.logits(adapted, IDS), atol=5e-5)
        del tensors["model.layers.1.attn.Wo.weight"]
        safetensors.torch.save_file(tensors, file, metadata={"format": "pt"})
        assert_refused(tmp_path / "adapter", "1 parameter is not in the weight files")
        tensors["model.embeddings.norm.weight"] = torch.ones(5)
        safetensors.torch.save_file(tensors, file, metadata={"format": "pt"})
        assert_refused(tmp_path / "adapter", r"base: model.embeddings.norm.weight has the shape \[5\]")

    def test_the_classifier_of_the_adapter_replaces_that_of_the_base(self, tmp_path: Path, probes: list[Feed]) -> None:
        adapted = make_adapter(tmp_path, "modernbert", {})
        config = json.loads((tmp_path / "base" / "config.json").read_text())
        labels = {"id2label": {"0": "a", "1": "b", "2": "c"}, "label2id": {"a": 0, "b": 1, "c": 2}}
        classifier = tiny.model(config | labels, seed=5)
        masked = safetensors.torch.load_file(tmp_path / "base" / "model.safetensors")
        classifier.load_state_dict(masked, strict=False)
        tiny.save(classifier, tmp_path / "base", config | labels)
        merged = load(tmp_path / "adapter", probes=probes).reference.module
        np.testing.assert_allclose(tiny.logits(merged, IDS), tiny.logits(adapted, IDS), atol=5e-5)

    def test_a_base_stored_in_half_precision_is_merged_in_float32(self, tmp_path: Path, probes: list[Feed]) -> None:
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
        files = open_files(tmp_path / "adapter")
        assert files.base is not None
        assert files.base.folder == (tmp_path / "base").resolve()
        assert files.folders == (tmp_path / "adapter", (tmp_path / "base").resolve())

    def test_another_base_can_be_given(self, tmp_path: Path, probes: list[Feed]) -> None:
        adapted = make_adapter(tmp_path, "modernbert", {}, base_path="/nowhere/at/all")
        loaded = load(tmp_path / "adapter", str(tmp_path / "base"), probes)
        np.testing.assert_allclose(tiny.logits(loaded.reference.module, IDS), tiny.logits(adapted, IDS), atol=5e-5)

    @pytest.mark.parametrize("named", [None, ""])
    def test_an_adapter_without_a_named_base_is_refused_with_the_option_that_names_it(
        self, tmp_path: Path, named: object
    ) -> None:
        make_adapter(tmp_path, "modernbert", {})
        edit_json(tmp_path / "adapter" / "adapter_config.json", base_model_name_or_path=named)
        assert_refused(tmp_path / "adapter", "names no base model: pass it with --base")

    def test_a_base_name_that_is_not_a_string_is_refused(self, tmp_path: Path) -> None:
        make_adapter(tmp_path, "modernbert", {})
        edit_json(tmp_path / "adapter" / "adapter_config.json", base_model_name_or_path=["base"])
        assert_refused(tmp_path / "adapter", "base_model_name_or_path")

    def test_a_missing_base_is_refused_by_name(self, tmp_path: Path) -> None:
        make_adapter(tmp_path, "modernbert", {}, base_path="../no such base")
        assert_refused(tmp_path / "adapter", "no such base")

    def test_an_adapter_over_an_adapter_is_refused(self, tmp_path: Path) -> None:
        make_adapter(tmp_path, "modernbert", {})
        shutil.copytree(tmp_path / "adapter", tmp_path / "second")
        assert_refused(tmp_path / "second", "contains no model.safetensors", base=str(tmp_path / "adapter"))

    @pytest.mark.parametrize(("part", "stem"), [("adapter", "adapter_model"), ("base", "model")])
    def test_pickled_weights_of_either_part_are_refused(self, tmp_path: Path, part: str, stem: str) -> None:
        make_adapter(tmp_path, "modernbert", {})
        (tmp_path / part / f"{stem}.safetensors").rename(tmp_path / part / f"{stem}.bin")
        assert str(tmp_path / part) in assert_refused(tmp_path / "adapter", "weights are pickled")

    @pytest.mark.parametrize("content", [b"", b"garbage" * 50])
    @pytest.mark.parametrize(("part", "stem"), [("adapter", "adapter_model"), ("base", "model")])
    def test_a_corrupt_weight_file_of_either_part_is_refused(
        self, tmp_path: Path, part: str, stem: str, content: bytes, probes: list[Feed]
    ) -> None:
        make_adapter(tmp_path, "modernbert", {})
        (tmp_path / part / f"{stem}.safetensors").write_bytes(content)
        assert_refused(tmp_path / "adapter", part, probes=probes)

    def test_an_adapter_without_its_head_is_refused(self, tmp_path: Path, probes: list[Feed]) -> None:
        make_adapter(tmp_path, "modernbert", {})
        file = tmp_path / "adapter" / "adapter_model.safetensors"
        weights = {name: t for name, t in safetensors.torch.load_file(file).items() if "classifier" not in name}
        safetensors.torch.save_file(weights, file, metadata={"format": "pt"})
        assert_refused(tmp_path / "adapter", "contains no classifier: .*modules_to_save", probes=probes)

    def test_an_adapter_with_half_of_the_head_is_refused_by_the_names_of_the_missing_weights(
        self, tmp_path: Path, probes: list[Feed]
    ) -> None:
        make_adapter(tmp_path, "deberta", {})
        file = tmp_path / "adapter" / "adapter_model.safetensors"
        weights = {name: t for name, t in safetensors.torch.load_file(file).items() if "pooler" not in name}
        safetensors.torch.save_file(weights, file, metadata={"format": "pt"})
        edit_json(tmp_path / "adapter" / "adapter_config.json", modules_to_save=["classifier"])
        assert_refused(tmp_path / "adapter", "pooler.dense.bias, pooler.dense.weight", probes=probes)

    def test_lora_weights_that_are_missing_from_the_adapter_are_refused(
        self, tmp_path: Path, probes: list[Feed]
    ) -> None:
        make_adapter(tmp_path, "modernbert", {})
        file = tmp_path / "adapter" / "adapter_model.safetensors"
        weights = {name: t for name, t in safetensors.torch.load_file(file).items() if "layers.1." not in name}
        safetensors.torch.save_file(weights, file, metadata={"format": "pt"})
        assert_refused(tmp_path / "adapter", "that the weight files do not contain .*layers.1", probes=probes)

    def test_adapter_weights_that_do_not_fit_the_model_are_refused(self, tmp_path: Path, probes: list[Feed]) -> None:
        make_adapter(tmp_path, "modernbert", {})
        edit_json(tmp_path / "adapter" / "adapter_config.json", target_modules=["attn.Wqkv", "attn.Wo"])
        assert_refused(tmp_path / "adapter", "the model has no place for .*mlp.Wi.lora_A", probes=probes)

    def test_an_adapter_for_another_architecture_is_refused(self, tmp_path: Path, probes: list[Feed]) -> None:
        make_adapter(tmp_path, "modernbert", {})
        make_adapter(tmp_path / "other", "deberta", {})
        assert_refused(
            tmp_path / "other" / "adapter", "cannot be loaded|not in", base=str(tmp_path / "base"), probes=probes
        )

    @pytest.mark.parametrize("content", ["{}", "[]", '{"peft_type": "NONSENSE"}', '{"peft_type": "LORA"}'])
    def test_an_incomplete_adapter_config_is_refused(self, tmp_path: Path, content: str, probes: list[Feed]) -> None:
        make_adapter(tmp_path, "modernbert", {})
        (tmp_path / "adapter" / "adapter_config.json").write_text(content)
        assert_refused(tmp_path / "adapter", "adapter", base=str(tmp_path / "base"), probes=probes)

    @pytest.mark.parametrize("family", TARGETS)
    def test_rounding_of_large_logits_is_no_wrong_merge(
        self, family: str, tmp_path: Path, probes: list[Feed], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_adapter(tmp_path, family, {})
        scale_classifier(tmp_path / "adapter", 1e3)
        loaded = load(tmp_path / "adapter", probes=probes)
        assert loaded.merge_delta is not None
        assert 1e-4 < loaded.merge_delta < 0.02  # of logits of some thousands
        assert np.abs(tiny.logits(loaded.reference.module, IDS)).max() > 500
        merge_wrongly(monkeypatch, by=0.2)
        assert_refused(tmp_path / "adapter", r"moved a logit by 2\.0e-01 \(rounding explains at most", probes=probes)

    def test_a_merge_that_moves_the_logits_is_refused(
        self, tmp_path: Path, probes: list[Feed], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_adapter(tmp_path, "modernbert", {})
        merge_wrongly(monkeypatch, by=0.001)
        assert_refused(tmp_path / "adapter", r"moved a logit by 1\.0e-03", probes=probes)

    @pytest.mark.parametrize("value", [True, 0.5, "auto", {"rank": 2}])
    def test_a_key_that_peft_would_ignore_is_refused(self, value: object, tmp_path: Path, probes: list[Feed]) -> None:
        make_adapter(tmp_path, "modernbert", {})
        edit_json(tmp_path / "adapter" / "adapter_config.json", use_new_kind_of_lora=value)
        assert_refused(tmp_path / "adapter", "use_new_kind_of_lora = .* is unknown to peft", probes=probes)

    def test_a_key_that_is_off_or_says_nothing_about_the_answers_is_ignored(
        self, tmp_path: Path, probes: list[Feed]
    ) -> None:
        adapted = make_adapter(tmp_path, "modernbert", {})
        off: dict[str, Any] = {
            "use_new_kind_of_lora": False,
            "new_config": None,
            "new_pattern": {},
            "merge_weights": True,
        }
        edit_json(tmp_path / "adapter" / "adapter_config.json", **off)
        loaded = load(tmp_path / "adapter", probes=probes)
        np.testing.assert_allclose(tiny.logits(loaded.reference.module, IDS), tiny.logits(adapted, IDS), atol=5e-5)

    @pytest.mark.parametrize("names", [5, "abc", True])
    def test_labels_of_the_base_that_are_no_object_are_refused_and_not_replaced(
        self, names: object, tmp_path: Path
    ) -> None:
        make_adapter(tmp_path, "modernbert", {})
        edit_json(tmp_path / "base" / "config.json", id2label=names)
        with pytest.raises(CheckpointError, match=r"id2label = .* does not number its labels"):
            read_head(open_files(tmp_path / "adapter"))

    @pytest.mark.parametrize("named", [5, True, "ModernBertForSequenceClassification"])
    def test_architectures_of_the_base_that_are_no_list_are_refused(self, named: object, tmp_path: Path) -> None:
        make_adapter(tmp_path, "modernbert", {}, modules_to_save=())
        drop_classifier(tmp_path / "adapter")
        edit_json(tmp_path / "base" / "config.json", architectures=named)
        assert_refused(tmp_path / "adapter", "contains no classifier: .* architectures = ")
