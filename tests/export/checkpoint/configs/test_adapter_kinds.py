"""Which adapters are merged, with the answers of PyTorch's PEFT, and which are refused by name."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
import transformers

from assay_export.checkpoint.configs.adapter_config import MERGEABLE
from assay_export.checkpoint.files import open_files
from assay_export.checkpoint.head import read_head
from assay_export.checkpoint.reference import Feed
from tests.export import tiny
from tests.export.checkpoints import assert_refused, edit_json, load

NAMES = {"0": "a", "1": "b", "2": "c"}
IDS = {name: int(key) for key, name in NAMES.items()}
CONFIG = tiny.modernbert_config(num_hidden_layers=2, problem_type=None, id2label=NAMES, label2id=IDS)
ONE_OUTPUT: dict[str, Any] = {"id2label": {"0": "a"}, "label2id": {"a": 0}}
TRANSFORMER = "sentence_transformers.base.modules.transformer.Transformer"
TARGETS = ["attn.Wqkv", "mlp.Wo"]
SQUARE = ["attn.Wo"]
ROWS = tiny.VOCABULARY + 4  # after tokens were added
ADDED = np.arange(tiny.VOCABULARY, ROWS)

KINDS: dict[str, Any] = {
    "LORA": peft.LoraConfig(target_modules=TARGETS),
    "ADALORA": peft.AdaLoraConfig(target_modules=TARGETS, total_step=10),
    "IA3": peft.IA3Config(target_modules=TARGETS, feedforward_modules=["mlp.Wo"]),
    "LOHA": peft.LoHaConfig(target_modules=TARGETS),
    "LOKR": peft.LoKrConfig(target_modules=TARGETS),
    "OFT": peft.OFTConfig(target_modules=TARGETS, oft_block_size=4),
    "BOFT": peft.BOFTConfig(target_modules=SQUARE, boft_block_size=4),
    "VERA": peft.VeraConfig(target_modules=SQUARE),
    "HRA": peft.HRAConfig(target_modules=TARGETS),
    "FOURIERFT": peft.FourierFTConfig(target_modules=TARGETS, n_frequency=10),
    "RANDLORA": peft.RandLoraConfig(target_modules=SQUARE),
    "C3A": peft.C3AConfig(target_modules=SQUARE, block_size=4),
    "ROAD": peft.RoadConfig(target_modules=SQUARE, group_size=4),
    "WAVEFT": peft.WaveFTConfig(target_modules=SQUARE, n_frequency=10),
    "VBLORA": peft.VBLoRAConfig(target_modules=SQUARE, vector_length=4, num_vectors=8),
}
PROMPTS: dict[str, Any] = {
    "prompt tuning": peft.PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=4),
    "p tuning": peft.PromptEncoderConfig(task_type="SEQ_CLS", num_virtual_tokens=4),
    "prefix tuning": peft.PrefixTuningConfig(
        task_type="SEQ_CLS", num_virtual_tokens=4, num_layers=2, token_dim=32, num_attention_heads=4
    ),
}


def load_base(folder: Path) -> Any:
    kind = transformers.AutoModelForSequenceClassification
    return kind.from_pretrained(folder / "base", attn_implementation="eager")


def adapt(folder: Path, settings: Any, *, rows: int | None = None, **config: Any) -> Any:
    """Save a fine-tuned base in folder/base and a trained adapter in folder/adapter; return peft's unmerged model.

    Every weight that training would change is changed at random.
    """
    config = CONFIG | config
    tiny.save(tiny.model(config), folder / "base", config)
    model = load_base(folder)
    if rows is not None:
        model.resize_token_embeddings(rows, mean_resizing=False)
    adapted = peft.get_peft_model(model, settings)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in adapted.named_parameters():
        if parameter.requires_grad and "vector_bank_logits" not in name and "logits" not in name:
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    adapted.save_pretrained(str(folder / "adapter"))
    return adapted.eval()


def assert_merged(folder: Path, adapted: Any, probes: list[Feed], ids: np.ndarray | None = None) -> Any:
    """The loaded model answers as peft's, and not as the base does."""
    ids = tiny.token_ids(3, 30) if ids is None else ids
    loaded = load(folder / "adapter", probes=probes)
    expected = tiny.logits(adapted, ids)
    np.testing.assert_allclose(tiny.logits(loaded.reference.module, ids), expected, atol=5e-5)
    base = load_base(folder)
    assert np.abs(tiny.logits(base.eval(), ids % tiny.VOCABULARY) - expected).max() > 0.01
    assert set(loaded.reference.weights()) == set(base.state_dict())
    return loaded


def test_every_kind_that_is_accepted_is_compared_here() -> None:
    assert set(KINDS) == set(MERGEABLE)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_merged_into_the_answers_of_peft(kind: str, tmp_path: Path, probes: list[Feed]) -> None:
    settings = KINDS[kind]
    settings.task_type = "SEQ_CLS"
    assert_merged(tmp_path, adapt(tmp_path, settings), probes)


class TestTheHeadOfTheBase:
    @pytest.mark.parametrize("task", [None, "FEATURE_EXTRACTION"])
    def test_an_adapter_without_a_head_keeps_that_of_its_fine_tuned_base(
        self, task: Any, tmp_path: Path, probes: list[Feed]
    ) -> None:
        adapted = adapt(tmp_path, peft.LoraConfig(target_modules=TARGETS, task_type=task))
        loaded = assert_merged(tmp_path, adapted, probes)
        assert loaded.config["id2label"] == NAMES
        assert read_head(loaded.files).labels == ("a", "b", "c")

    def test_an_adapter_that_adapts_the_classifier_itself_keeps_its_labels(
        self, tmp_path: Path, probes: list[Feed]
    ) -> None:
        adapted = adapt(tmp_path, peft.LoraConfig(target_modules=[*TARGETS, "classifier"]))
        assert assert_merged(tmp_path, adapted, probes).files.outputs == 3

    def test_what_the_base_says_about_its_head_counts(self, tmp_path: Path) -> None:
        sigmoid = {"activation_fn": "torch.nn.modules.activation.Sigmoid"}
        adapt(tmp_path, peft.LoraConfig(target_modules=TARGETS), **ONE_OUTPUT, sentence_transformers=sigmoid)
        assert read_head(open_files(tmp_path / "adapter")).activation == "sigmoid"

    def test_a_base_that_is_not_a_sequence_classifier_is_refused(self, tmp_path: Path) -> None:
        adapt(tmp_path, peft.LoraConfig(target_modules=TARGETS))
        edit_json(tmp_path / "base" / "config.json", architectures=["ModernBertForTokenClassification"])
        assert_refused(tmp_path / "adapter", "contains no classifier: .*architectures = .*TokenClassification")


class TestAHeadOfItsOwn:
    @pytest.mark.parametrize(
        ("base", "activation"),
        [
            ({}, "identity"),
            ({"sentence_transformers": {"activation_fn": "torch.nn.Sigmoid"}}, "identity"),
            ({"problem_type": "multi_label_classification"}, "identity"),
        ],
    )
    def test_one_output_is_the_score_whatever_head_the_base_had(
        self, base: dict[str, Any], activation: str, tmp_path: Path
    ) -> None:
        """transformers trains one output as a regression, and peft does not save the config.json that says so."""
        adapt(
            tmp_path,
            peft.LoraConfig(target_modules=TARGETS, task_type="SEQ_CLS"),
            id2label={"0": "a"},
            label2id={"a": 0},
        )
        edit_json(tmp_path / "base" / "config.json", id2label=NAMES, label2id=IDS, **base)
        assert read_head(open_files(tmp_path / "adapter")).activation == activation

    def test_the_activation_next_to_the_adapter_counts(self, tmp_path: Path) -> None:
        adapt(
            tmp_path,
            peft.LoraConfig(target_modules=TARGETS, task_type="SEQ_CLS"),
            id2label={"0": "a"},
            label2id={"a": 0},
        )
        module = {"idx": 0, "name": "0", "path": "", "type": TRANSFORMER}
        (tmp_path / "adapter" / "modules.json").write_text(json.dumps([module]))
        settings = {"model_type": "CrossEncoder", "activation_fn": "torch.nn.modules.activation.Sigmoid"}
        (tmp_path / "adapter" / "config_sentence_transformers.json").write_text(json.dumps(settings))
        assert read_head(open_files(tmp_path / "adapter")).activation == "sigmoid"


class TestAddedTokens:
    @pytest.mark.parametrize(
        "settings",
        [
            {"task_type": "SEQ_CLS"},
            {},
            {"task_type": "SEQ_CLS", "modules_to_save": ["tok_embeddings"]},
            {"task_type": "SEQ_CLS", "target_modules": [*TARGETS, "tok_embeddings"]},
            {"task_type": "SEQ_CLS", "trainable_token_indices": ADDED.tolist()},
        ],
        ids=["resized", "without a head", "modules_to_save", "LoRA on the embeddings", "trainable tokens"],
    )
    def test_embeddings_that_grew_are_those_of_the_adapter(
        self, settings: dict[str, Any], tmp_path: Path, probes: list[Feed]
    ) -> None:
        adapted = adapt(tmp_path, peft.LoraConfig(**{"target_modules": TARGETS} | settings), rows=ROWS)
        ids = np.concatenate([tiny.token_ids(1, 30), [np.resize(ADDED, 30)]])
        loaded = assert_merged(tmp_path, adapted, probes, ids)
        assert loaded.config["vocab_size"] == loaded.config_4["vocab_size"] == ROWS
        assert loaded.reference.module.config.vocab_size == ROWS

    def test_tokens_trained_in_place_keep_the_number_of_tokens(self, tmp_path: Path, probes: list[Feed]) -> None:
        settings = peft.LoraConfig(target_modules=TARGETS, task_type="SEQ_CLS", trainable_token_indices=[5, 7])
        adapted = adapt(tmp_path, settings)
        loaded = assert_merged(tmp_path, adapted, probes, np.resize([5, 7, 9], (2, 12)))
        assert loaded.config["vocab_size"] == tiny.VOCABULARY

    def test_a_size_that_the_weights_do_not_have_is_not_taken_from_a_config(self, tmp_path: Path) -> None:
        adapt(tmp_path, peft.LoraConfig(target_modules=TARGETS, task_type="SEQ_CLS"))
        (tmp_path / "adapter" / "config.json").write_text(json.dumps(CONFIG | {"vocab_size": ROWS}))
        assert open_files(tmp_path / "adapter").config["vocab_size"] == tiny.VOCABULARY


class TestRefusals:
    @pytest.mark.parametrize("kind", PROMPTS)
    def test_what_is_not_in_the_weights_cannot_be_merged(self, kind: str, tmp_path: Path) -> None:
        adapt(tmp_path, PROMPTS[kind])
        message = assert_refused(tmp_path / "adapter", f"{kind} cannot be merged into the weights .*train with LoRA")
        assert "adapter_config.json" in message

    @pytest.mark.parametrize("kind", ["LILY", "NONSENSE", None, 3, ["LORA"]])
    def test_a_kind_that_was_not_compared_is_refused_by_name(self, kind: object, tmp_path: Path) -> None:
        adapt(tmp_path, peft.LoraConfig(target_modules=TARGETS, task_type="SEQ_CLS"))
        edit_json(tmp_path / "adapter" / "adapter_config.json", peft_type=kind)
        assert repr(kind) in assert_refused(tmp_path / "adapter", r"peft_type = .* \(supported: LORA, ")

    @pytest.mark.parametrize("task", ["TOKEN_CLS", "QUESTION_ANS", "CAUSAL_LM", 7])
    def test_an_adapter_for_another_task_is_refused_by_name(self, task: object, tmp_path: Path) -> None:
        adapt(tmp_path, peft.LoraConfig(target_modules=TARGETS, task_type="SEQ_CLS"))
        edit_json(tmp_path / "adapter" / "adapter_config.json", task_type=task)
        assert repr(task) in assert_refused(tmp_path / "adapter", "task_type = .*only sequence classifiers")

    @pytest.mark.parametrize(("name", "value"), [("use_rslora", "false"), ("use_dora", "True")])
    def test_a_flag_that_is_a_string_is_refused_because_peft_would_take_it_for_true(
        self, name: str, value: str, tmp_path: Path
    ) -> None:
        adapt(tmp_path, peft.LoraConfig(target_modules=TARGETS))
        edit_json(tmp_path / "adapter" / "adapter_config.json", **{name: value})
        assert_refused(tmp_path / "adapter", f"{name} = '{value}' is a string, expected true or false without quotes")

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("r", "8"),
            ("r", None),
            ("r", True),
            ("lora_alpha", "16"),
            ("lora_alpha", float("inf")),
            ("lora_alpha", 10**400),
            ("target_modules", 5),
            ("target_modules", "("),
            ("target_modules", [5]),
            ("exclude_modules", 5),
            ("modules_to_save", "classifier"),
            ("layers_to_transform", "0"),
            ("rank_pattern", []),
            ("rank_pattern", {"Wo": "8"}),
            ("alpha_pattern", {"(": 8}),
            ("bias", False),
            ("use_rslora", "no"),
        ],
    )
    def test_a_value_of_a_kind_that_peft_cannot_use_is_refused_by_name(
        self, name: str, value: object, tmp_path: Path
    ) -> None:
        adapt(tmp_path, peft.LoraConfig(target_modules=TARGETS))
        edit_json(tmp_path / "adapter" / "adapter_config.json", **{name: value})
        said = assert_refused(tmp_path / "adapter", f"adapter_config.json: {name} = .*, expected .*: correct the value")
        assert repr(value)[:80] in said

    def test_a_start_that_peft_draws_anew_at_every_load_is_refused(self, tmp_path: Path) -> None:
        adapt(tmp_path, peft.LoraConfig(target_modules=TARGETS, task_type="SEQ_CLS"))
        edit_json(tmp_path / "adapter" / "adapter_config.json", init_lora_weights="pissa_niter_4")
        assert_refused(tmp_path / "adapter", "init_lora_weights = 'pissa_niter_4' .* differ from load to load")

    @pytest.mark.parametrize(
        ("name", "value"),
        [("layer_replication", [[0, 2], [1, 2]]), ("alora_invocation_tokens", [5]), ("arrow_config", {"a": 1})],
    )
    def test_an_option_that_changes_more_than_weights_is_refused_by_name(
        self, name: str, value: object, tmp_path: Path
    ) -> None:
        adapt(tmp_path, peft.LoraConfig(target_modules=TARGETS, task_type="SEQ_CLS"))
        edit_json(tmp_path / "adapter" / "adapter_config.json", **{name: value})
        assert_refused(tmp_path / "adapter", f"{name} = .* cannot be merged into the weights")
