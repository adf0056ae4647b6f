"""The tokenizer of a bundle is AutoTokenizer's, whatever file of the folder changes it."""

import json
from pathlib import Path
from typing import Any

import pytest
import transformers
from tokenizers import Tokenizer

from assay_export.checkpoint.tokenizer import TokenizerFiles, read
from assay_export.errors import CheckpointError
from tests.conftest import CHECKPOINTS
from tests.export import slow_tokenizers
from tests.export.checkpoints import edit_json

CONFIG = {"vocab_size": 2_048, "model_type": "modernbert"}
DEBERTA = {"vocab_size": 2_048, "model_type": "deberta-v2", "position_biased_input": False}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The tokenizer of the demo scorer: byte-level BPE, cased, [CLS] A [SEP]."""
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((CHECKPOINTS / "complexity-base" / name).read_bytes())
    return tmp_path


def words(files: TokenizerFiles, text: str) -> list[str]:
    (tokens,) = files.open_as_runtime("text").encode_to(text, [files.max_length])
    return [str(files.tokenizer.id_to_token(token)) for token in tokens.ids.tolist()]


def settings(folder: Path, **changes: Any) -> None:
    edit_json(folder / "tokenizer_config.json", **changes)


def test_a_prefix_space_that_only_tokenizer_config_asks_for_is_read(folder: Path) -> None:
    assert words(read([folder], CONFIG, 90), "what rain")[1] == "w"
    settings(folder, add_prefix_space=True)
    files = read([folder], CONFIG, 90)
    assert words(files, "what rain")[1] == "Ġwhat"
    assert files.config["add_prefix_space"] is True


@pytest.mark.parametrize("value", [["BertTokenizer"], 5, {"a": "b"}])
def test_a_class_that_is_no_name_is_refused(folder: Path, value: object) -> None:
    edit_json(folder / "tokenizer_config.json", tokenizer_class=value)
    with pytest.raises(CheckpointError, match=r"tokenizer_class = .* expected the name of a class"):
        read([folder], CONFIG, 90)


def test_lower_casing_that_tokenizer_config_switches_off_is_off(tmp_path: Path) -> None:
    slow_tokenizers.save_bert(tmp_path)
    transformers.AutoTokenizer.from_pretrained(tmp_path).save_pretrained(tmp_path)
    config = {"vocab_size": 500, "model_type": "bert"}
    assert words(read([tmp_path], config, 90), "Rain") == ["[CLS]", "rain", "[SEP]"]
    settings(tmp_path, do_lower_case=False)
    assert words(read([tmp_path], config, 90), "Rain")[1] != "rain"


@pytest.mark.parametrize(("value", "lowers"), [(None, False), (1, True)])
def test_lower_casing_of_a_slow_tokenizer_need_not_be_a_boolean(tmp_path: Path, value: object, lowers: bool) -> None:
    slow_tokenizers.save_deberta(tmp_path, added=("<new>",))
    settings(tmp_path, do_lower_case=value)
    files = read([tmp_path], {"vocab_size": 600, "model_type": "deberta-v2"}, 90)
    assert (words(files, "<NEW>")[1:-1] == ["<new>"]) is lowers
    assert words(files, "<new>")[1:-1] == ["<new>"]


@pytest.mark.parametrize("is_legacy", [False, True], ids=["added_tokens_decoder", "added_tokens.json"])
def test_a_token_that_stands_only_beside_tokenizer_json_is_one_token(folder: Path, is_legacy: bool) -> None:
    number = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size()
    if is_legacy:
        (folder / "added_tokens.json").write_text(json.dumps({"[OBJ]": number}))
        (folder / "special_tokens_map.json").write_text(json.dumps({"additional_special_tokens": ["[OBJ]"]}))
    else:
        settings(folder, added_tokens_decoder={str(number): {"content": "[OBJ]", "special": False}})
    files = read([folder], CONFIG, 90)
    assert words(files, "[OBJ] what") == ["[CLS]", "[OBJ]", "Ġwhat", "[SEP]"]
    assert files.tokenizer.token_to_id("[OBJ]") == number
    with pytest.raises(CheckpointError, match=rf"{number + 1:,} tokens \(with .* such as '\[OBJ\]'\)"):
        read([folder], CONFIG | {"vocab_size": number}, 90)


def test_special_tokens_are_split_if_tokenizer_config_says_so(folder: Path) -> None:
    assert words(read([folder], CONFIG, 90), "a[SEP]").count("[SEP]") == 2
    settings(folder, split_special_tokens=True)
    files = read([folder], CONFIG, 90)
    assert words(files, "a[SEP]").count("[SEP]") == 1
    assert files.split_special_tokens
    assert files.config["split_special_tokens"] is True


def test_an_end_token_that_the_class_of_the_tokenizer_adds_is_added(folder: Path) -> None:
    names = {"bos_token": "[CLS]", "eos_token": "[SEP]"}
    settings(folder, tokenizer_class="LlamaTokenizerFast", add_bos_token=True, add_eos_token=False, **names)
    assert words(read([folder], CONFIG, 90), "what") == ["[CLS]", "w", "hat"]
    settings(folder, add_eos_token=True)
    assert words(read([folder], CONFIG, 90), "what") == ["[CLS]", "w", "hat", "[SEP]"]


@pytest.mark.parametrize("is_baked_in", [True, False], ids=["in tokenizer.json", "in tokenizer_config.json"])
def test_the_side_that_auto_tokenizer_truncates_is_truncated(folder: Path, is_baked_in: bool) -> None:
    if is_baked_in:
        own = Tokenizer.from_file(str(folder / "tokenizer.json"))
        own.enable_truncation(32, direction="left")
        own.save(str(folder / "tokenizer.json"))
    else:
        settings(folder, truncation_side="left")
    text = "what causes rain " * 60
    auto = transformers.AutoTokenizer.from_pretrained(folder)
    (tokens,) = read([folder], CONFIG, 90).open_as_runtime("text").encode_to(text, [90])
    assert tokens.ids.tolist() == auto(text, truncation=True, max_length=90)["input_ids"]
    assert tokens.ids[1:-1].tolist() == auto(text)["input_ids"][-89:-1]


@pytest.mark.parametrize(
    ("stated", "config", "expected"),
    [
        (64, CONFIG, 64),
        (512, CONFIG, 90),
        (1_000_000_000_000_000_019_884_624_838_656, CONFIG, 90),
        (None, CONFIG, 90),
        (64, DEBERTA, 64),
        (1_024, DEBERTA, 1_024),  # its positions are relative, so no table ends
        (1_024, DEBERTA | {"position_biased_input": True}, 90),
        (1e30, DEBERTA, 90),
        (1_000_000, DEBERTA, 90),
    ],
)
def test_the_limit_is_the_tokenizers_where_the_model_can_read_it(
    folder: Path, stated: float | None, config: dict[str, Any], expected: int
) -> None:
    settings(folder, model_max_length=stated)
    if stated is None:
        found = json.loads((folder / "tokenizer_config.json").read_text())
        del found["model_max_length"]
        (folder / "tokenizer_config.json").write_text(json.dumps(found))
    files = read([folder], config, 90)
    assert files.max_length == files.config["model_max_length"] == expected


def test_a_limit_below_one_token_is_refused(folder: Path) -> None:
    settings(folder, model_max_length=0)
    with pytest.raises(CheckpointError, match="model_max_length = 0, expected a number of at least 1"):
        read([folder], CONFIG, 90)


def test_a_tokenizer_with_code_of_its_own_is_refused_and_not_run(folder: Path) -> None:
    (folder / "own.py").write_text("raise SystemExit('this code ran')")
    settings(folder, tokenizer_class="OwnTokenizer", auto_map={"AutoTokenizer": [None, "own.OwnTokenizer"]})
    with pytest.raises(CheckpointError, match="AutoTokenizer of transformers cannot open the tokenizer"):
        read([folder], CONFIG, 90)


def test_a_slow_tokenizer_that_samples_is_refused(tmp_path: Path) -> None:
    slow_tokenizers.save_deberta(tmp_path, sp_model_kwargs={"enable_sampling": True, "alpha": 0.1, "nbest_size": -1})
    with pytest.raises(CheckpointError, match=r"sp_model_kwargs = .*remove enable_sampling"):
        read([tmp_path], DEBERTA, 90)


def test_the_tokenizer_of_an_adapter_goes_before_that_of_its_base(folder: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    assert read([adapter, folder], CONFIG, 90).reference.folder == folder
    slow_tokenizers.save_bert(adapter)
    assert read([adapter, folder], CONFIG, 90).origin == "vocab.txt"
