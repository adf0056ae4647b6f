"""The stand-ins with random weights: laid out as on the Hub, reproducible, and fit to compare implementations on."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from benchmarks.errors import BenchmarkError
from benchmarks.standins.__main__ import main
from benchmarks.standins.standins import build_adapter, build_checkpoint, create_folder, find_file, read_object

DEBERTA = {
    "architectures": ["DebertaV2ForSequenceClassification"],
    "model_type": "deberta-v2",
    "hidden_size": 32,
    "initializer_range": 0.02,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "max_relative_positions": -1,
    "norm_rel_ebd": "layer_norm",
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "pooler_hidden_size": 32,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "position_buckets": 16,
    "relative_attention": True,
    "share_att_key": True,
    "type_vocab_size": 0,
    "vocab_size": 64,
    "id2label": {"0": "A", "1": "B", "2": "C"},
    "label2id": {"A": 0, "B": 1, "C": 2},
}
MODERNBERT = {
    "architectures": ["ModernBertForSequenceClassification"],
    "model_type": "modernbert",
    "classifier_pooling": "mean",
    "hidden_size": 64,
    "intermediate_size": 96,
    "local_attention": 16,
    "max_position_embeddings": 128,
    "num_attention_heads": 2,
    "num_hidden_layers": 3,
    "pad_token_id": 0,
    "problem_type": "regression",
    "vocab_size": 64,
    "id2label": {"0": "LABEL_0"},
    "label2id": {"LABEL_0": 0},
}
LORA = {
    "peft_type": "LORA",
    "task_type": "SEQ_CLS",
    "base_model_name_or_path": "somebody/some-base",
    "r": 4,
    "lora_alpha": 8,
    "lora_dropout": 0.1,
    "init_lora_weights": "pissa",
    "target_modules": ["attn.Wo", "attn.Wqkv", "mlp.Wi", "mlp.Wo"],
    "modules_to_save": ["classifier", "score"],
    "bias": "none",
    "inference_mode": True,
}


class Inputs(NamedTuple):
    """Tiny files in place of the materials."""

    deberta: Path
    modernbert: Path
    lora: Path
    tokenizer: Path


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    folder = tmp_path_factory.mktemp("inputs")
    words = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", *(f"w{number}" for number in range(40))]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    tokenizer.add_special_tokens(words[:4])
    tokenizer.save(str(folder / "tokenizer.json"))
    for name, settings in (("deberta", DEBERTA), ("modernbert", MODERNBERT), ("lora", LORA)):
        (folder / f"{name}.json").write_text(json.dumps(settings))
    return Inputs(*(folder / f"{name}.json" for name in ("deberta", "modernbert", "lora", "tokenizer")))


@pytest.fixture(scope="module")
def osmosis(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("standins") / "osmosis"
    build_checkpoint("osmosis", out, config=inputs.deberta, tokenizer=inputs.tokenizer)
    return out


@pytest.fixture(scope="module")
def maxwell(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("standins") / "maxwell"
    build_checkpoint("maxwell", out, config=inputs.modernbert, tokenizer=inputs.tokenizer)
    return out


@pytest.fixture(scope="module")
def adapter(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("standins") / "maxwell-adapter"
    build_adapter(out, config=inputs.modernbert, adapter_config=inputs.lora, tokenizer=inputs.tokenizer)
    return out


def load(folder: Path) -> Any:
    model, report = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values()), report
    return model.eval()


def logits(model: Any, rows: int = 32) -> torch.Tensor:
    """Logits [rows, labels] of random texts of 20 words between [CLS] and [SEP]."""
    generator = torch.Generator().manual_seed(7)
    words = torch.randint(4, 44, (rows, 20), generator=generator)
    ends = torch.ones(rows, 1, dtype=torch.int64)
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=torch.cat([ends, words, 2 * ends], dim=1)).logits
    return found


@pytest.mark.parametrize("name", ["osmosis", "maxwell"])
def test_a_checkpoint_loads_with_no_missing_or_unexpected_weight(name: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(name)
    assert {value.dtype for value in load_file(folder / "model.safetensors").values()} == {torch.float32}
    assert logits(load(folder)).isfinite().all()


def test_the_config_and_the_tokenizer_are_copied_byte_for_byte(osmosis: Path, inputs: Inputs) -> None:
    assert (osmosis / "config.json").read_bytes() == inputs.deberta.read_bytes()
    assert (osmosis / "tokenizer.json").read_bytes() == inputs.tokenizer.read_bytes()


def test_transformers_reads_the_tokenizer_with_its_special_tokens_and_length(osmosis: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(osmosis)
    assert tokenizer("w0 w1", "w2")["input_ids"] == [1, 4, 5, 2, 6, 2]
    assert (tokenizer.pad_token_id, tokenizer.model_max_length) == (0, 64)


def test_a_classifier_tells_texts_apart_by_about_one_in_every_logit(osmosis: Path) -> None:
    spread = logits(load(osmosis)).std(dim=0)
    assert spread.min() > 0.3
    assert spread.max() < 3


@pytest.mark.parametrize("name", ["maxwell", "adapter"])
def test_a_regression_output_spreads_within_about_zero_to_one(name: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(name)
    model = load(folder) if name == "maxwell" else PeftModel.from_pretrained(load(folder / "base"), folder / "adapter")
    values = logits(model.eval())
    assert 0.1 < values.mean() < 0.9
    assert 0.03 < values.std() < 0.5


def test_no_gain_or_bias_is_left_at_one_or_zero(osmosis: Path, maxwell: Path) -> None:
    for folder in (osmosis, maxwell):
        for name, value in load_file(folder / "model.safetensors").items():
            if value.ndim == 1:
                assert not ((value == 0) | (value == 1)).any(), name


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    osmosis: Path, inputs: Inputs, tmp_path: Path
) -> None:
    build_checkpoint("osmosis", tmp_path / "same", config=inputs.deberta, tokenizer=inputs.tokenizer)
    build_checkpoint("osmosis", tmp_path / "other", config=inputs.deberta, tokenizer=inputs.tokenizer, seed=1)
    first, same, other = (load_file(f / "model.safetensors") for f in (osmosis, tmp_path / "same", tmp_path / "other"))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)


def test_the_adapter_is_one_that_peft_loads_merges_and_that_changes_the_answer(adapter: Path) -> None:
    base = logits(load(adapter / "base"))
    model = PeftModel.from_pretrained(load(adapter / "base"), adapter / "adapter").eval()
    unmerged = logits(model)
    merged = logits(model.merge_and_unload())
    torch.testing.assert_close(merged, unmerged, atol=1e-5, rtol=0)
    assert (merged - base).abs().max() > 0.01


def test_the_adapter_itself_is_moved_off_its_start_and_not_only_the_classifier(adapter: Path) -> None:
    base, merged = load(adapter / "base"), load(adapter / "base")
    merged = PeftModel.from_pretrained(merged, adapter / "adapter").merge_and_unload()
    before, after = base.model.layers[0].mlp.Wi.weight, merged.model.layers[0].mlp.Wi.weight
    assert (after - before).norm() > 0.005 * before.norm()


def test_the_adapter_keeps_the_lora_it_was_given_and_names_the_base_beside_it(adapter: Path) -> None:
    saved = read_object(adapter / "adapter" / "adapter_config.json")
    assert {name: saved[name] for name in ("peft_type", "r", "lora_alpha", "init_lora_weights", "inference_mode")} == {
        name: LORA[name] for name in ("peft_type", "r", "lora_alpha", "init_lora_weights", "inference_mode")
    }
    assert (adapter / "adapter" / saved["base_model_name_or_path"]).resolve() == (adapter / "base").resolve()


def test_an_adapter_over_a_given_base_writes_no_second_base(maxwell: Path, inputs: Inputs, tmp_path: Path) -> None:
    build_adapter(tmp_path / "out", base=maxwell, adapter_config=inputs.lora)
    assert [part.name for part in (tmp_path / "out").iterdir()] == ["adapter"]
    saved = read_object(tmp_path / "out" / "adapter" / "adapter_config.json")
    assert Path(saved["base_model_name_or_path"]) == maxwell.resolve()


def test_every_checkpoint_says_that_it_is_a_stand_in(osmosis: Path, adapter: Path) -> None:
    for folder in (osmosis, adapter / "base", adapter / "adapter"):
        assert "stand-in with random weights" in (folder / "README.md").read_text().lower()


def test_an_existing_target_is_refused_and_left_alone(
    inputs: Inputs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").mkdir()
    options = ["--config", str(inputs.deberta), "--tokenizer", str(inputs.tokenizer)]
    assert main(["osmosis", str(tmp_path / "taken"), *options]) == 1
    assert f"{tmp_path / 'taken'} exists" in capsys.readouterr().err
    assert not list((tmp_path / "taken").iterdir())


def test_where_the_materials_are_absent_one_line_says_what_to_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ASSAY_MATERIALS", str(tmp_path / "absent"))
    assert main(["osmosis", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--config" in error
    assert "ASSAY_MATERIALS" in error
    assert not (tmp_path / "out").exists()


def test_a_missing_tokenizer_is_asked_for_by_its_own_option(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="pass --tokenizer FILE"):
        find_file(None, tmp_path / "tokenizer.json", "--tokenizer")


def test_a_tokenizer_with_more_tokens_than_the_vocabulary_is_refused(inputs: Inputs, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(DEBERTA | {"vocab_size": 10}))
    with pytest.raises(BenchmarkError, match=r"tokenizer has 44 tokens .* vocab_size is 10"):
        build_checkpoint("osmosis", tmp_path / "out", config=tmp_path / "config.json", tokenizer=inputs.tokenizer)


@pytest.mark.parametrize(("settings", "found"), [({}, "no model_type"), ({"model_type": "nothing"}, "'nothing'")])
def test_a_config_of_no_known_architecture_is_refused(
    settings: dict[str, str], found: str, inputs: Inputs, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(BenchmarkError, match=found):
        build_checkpoint("osmosis", tmp_path / "out", config=tmp_path / "config.json", tokenizer=inputs.tokenizer)
    assert [file.name for file in tmp_path.iterdir()] == ["config.json"]


def test_an_interrupted_build_leaves_nothing(tmp_path: Path) -> None:
    def build() -> None:
        with create_folder(tmp_path / "out") as folder:
            (folder / "half.safetensors").write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["{", "[1]"])
def test_a_config_that_is_not_a_json_object_is_refused_by_name(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(BenchmarkError, match=r"config\.json"):
        read_object(tmp_path / "config.json")


def test_options_of_the_adapter_are_refused_for_a_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["osmosis", str(tmp_path / "out"), "--base", str(tmp_path)])
    assert stopped.value.code == 2
    assert "--base" in capsys.readouterr().err
