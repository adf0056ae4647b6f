"""The ids that the runtime will read are those of transformers, or nothing is written."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers
from tokenizers import Tokenizer, normalizers

from assay_export.checkpoint.presets import Input
from assay_export.checkpoint.tokenizer import TokenizerFiles, read
from assay_export.errors import CheckpointError, TokenizerError
from assay_export.gates import tokenizer as gate
from assay_export.gates.tokenizer import check
from assay_export.texts import real_text, tokenizer_probes
from tests.conftest import CHECKPOINTS
from tests.export import slow_tokenizers
from tests.export.checkpoints import edit_json

KINDS: tuple[Input, Input] = ("text", "pair")
CONFIG = {"vocab_size": 3_000}

Save = Callable[[Path], Path]


def open_files(folder: Path, model_type: str, **config: Any) -> TokenizerFiles:
    return read([folder], CONFIG | {"model_type": model_type} | config, 48)


def ids(files: TokenizerFiles, kind: Input, row: Any) -> list[int]:
    found: list[int] = files.open_as_runtime(kind).encode([row], truncate=True, first=None)[0].ids.tolist()
    return found


def copy_tokenizer(name: str, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (folder / file).write_bytes((CHECKPOINTS / name / file).read_bytes())
    return folder


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("model_type", "save"),
    [
        ("bert", slow_tokenizers.save_bert),
        ("bert", lambda folder: slow_tokenizers.save_bert(folder, lower=False)),
        ("roberta", slow_tokenizers.save_roberta),
        ("xlm-roberta", slow_tokenizers.save_xlm_roberta),
        ("deberta-v2", slow_tokenizers.save_deberta),
    ],
    ids=["BERT", "cased BERT", "RoBERTa", "XLM-R", "DeBERTa-v3"],
)
def test_a_folder_that_a_slow_tokenizer_saved_passes(kind: Input, model_type: str, save: Save, tmp_path: Path) -> None:
    files = open_files(save(tmp_path), model_type)
    assert files.reference.saved_by_slow
    assert check(files, kind) > 200


@pytest.mark.parametrize(
    "options",
    [{}, {"do_lower_case": True}, {"split_by_punct": True}],
    ids=str,
)
def test_deberta_saved_by_the_slow_tokenizer_gives_its_ids(options: dict[str, bool], tmp_path: Path) -> None:
    slow_tokenizers.save_deberta(tmp_path, added=("[OBJ]", "[RESP]", "<low>"), **options)
    files = open_files(tmp_path, "deberta-v2", position_biased_input=False)
    slow = transformers.DebertaV2Tokenizer.from_pretrained(tmp_path)
    for kind in KINDS:
        check(files, kind)
    for text in (
        "[OBJ] What causes rain?",
        "what [OBJ] , is [RESP]this [obj] <LOW> ?",
        "WHAT Causes RAIN?!",
        "Rain forms… (1/2)",
        "ẞ ☃ \ufffd",
    ):
        assert ids(files, "text", text) == slow(text)["input_ids"], text
    pair = ("[OBJ] What causes rain?", "[RESP] Rain forms.")
    assert ids(files, "pair", pair) == slow(*pair)["input_ids"]


def test_deberta_saved_by_the_slow_tokenizer_with_both_options_gives_its_ids(tmp_path: Path) -> None:
    slow_tokenizers.save_deberta(tmp_path, do_lower_case=True, split_by_punct=True)
    files = open_files(tmp_path, "deberta-v2")
    check(files, "pair")
    slow = transformers.DebertaV2Tokenizer.from_pretrained(tmp_path)
    row = ("WHAT Causes RAIN?!", "Rain forms...")
    assert ids(files, "pair", row) == slow(*row)["input_ids"]


@pytest.mark.parametrize(
    ("model_type", "save", "text"),
    [
        # The slow tokenizer lower-cases them when they are added, and finds them in lower-cased text.
        (
            "deberta-v2",
            lambda folder: slow_tokenizers.save_deberta(
                folder, added=("[OBJ]",), do_lower_case=True, split_by_punct=True
            ),
            r"'\[OBJ\]'",
        ),
        # The slow tokenizer puts a space before the text, the fast one before each part between special tokens.
        ("roberta", lambda folder: slow_tokenizers.save_roberta(folder, add_prefix_space=True), "'"),
    ],
    ids=["added tokens, lower-cased and split at punctuation", "RoBERTa with prefix space"],
)
def test_what_no_fast_tokenizer_expresses_is_refused(model_type: str, save: Save, text: str, tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match=f"disagree on {text}.*no fast tokenizer gives these tokens"):
        check(open_files(save(tmp_path), model_type), "text")


def test_the_published_sentencepiece_model_passes_with_every_option(materials: Path, tmp_path: Path) -> None:
    model = materials / "tokenizers" / "deberta-v3" / "spm.model"
    slow = transformers.DebertaV2Tokenizer(str(model), do_lower_case=True, split_by_punct=True)
    slow.save_pretrained(tmp_path)
    files = read([tmp_path], {"vocab_size": 128_100, "model_type": "deberta-v2"}, 512)
    check(files, "pair")
    row = ("WHAT Causes RAIN?!", "Rain forms...")
    assert ids(files, "pair", row) == slow(*row)["input_ids"]


def test_the_published_tokenizer_passes_with_and_without_the_files_of_the_slow_one(
    materials: Path, tmp_path: Path
) -> None:
    published = materials / "tokenizers" / "deberta-v3"
    for name in ("tokenizer.json", "spm.model"):
        (tmp_path / name).symlink_to(published / name)
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "DebertaV2Tokenizer"}')
    files = read([tmp_path], {"vocab_size": 128_100, "model_type": "deberta-v2"}, 512)
    assert files.reference.slow is not None
    assert files.json_bytes == (published / "tokenizer.json").read_bytes()
    check(files, "pair")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["pair-classifier", "complexity-base"])
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"add_prefix_space": True},
        {"split_special_tokens": True},
        {"truncation_side": "left"},
        {"model_max_length": 9},
        {"tokenizer_class": "LlamaTokenizerFast", "add_eos_token": True, "bos_token": "[CLS]", "eos_token": "[SEP]"},
        {"tokenizer_class": "BertTokenizer", "do_lower_case": True},
        {"added_tokens_decoder": {"2047": {"content": "[OBJ]", "special": False, "lstrip": True}}},
        {"extra_special_tokens": ["[OBJ]"]},
    ],
    ids=str,
)
def test_whatever_tokenizer_config_says_the_runtime_reads_what_auto_tokenizer_reads(
    kind: Input, name: str, change: dict[str, Any], tmp_path: Path
) -> None:
    edit_json(copy_tokenizer(name, tmp_path) / "tokenizer_config.json", **change)
    check(read([tmp_path], {"vocab_size": 3_000, "model_type": "deberta-v2"}, 128), kind)


def test_a_bundle_that_reads_otherwise_is_refused_with_the_first_difference(tmp_path: Path) -> None:
    files = read([copy_tokenizer("complexity-base", tmp_path)], {"vocab_size": 2_048}, 128)
    lower = Tokenizer.from_buffer(files.json_bytes)
    lower.normalizer = normalizers.Lowercase()
    wrong = dataclasses.replace(files, json_bytes=lower.to_str().encode(), tokenizer=lower)
    with pytest.raises(TokenizerError) as caught:
        check(wrong, "text")
    message = str(caught.value)
    assert "\n" not in message
    assert "AutoTokenizer of transformers disagree on 'WHAT CAUSES RAIN?': token 1 is 'w" in message
    assert "in the bundle, 'W" in message


def test_a_bundle_that_truncates_otherwise_is_refused(tmp_path: Path) -> None:
    files = read([copy_tokenizer("complexity-base", tmp_path)], {"vocab_size": 2_048}, 128)
    left = Tokenizer.from_buffer(files.json_bytes)
    left.enable_truncation(8, direction="left")
    wrong = dataclasses.replace(files, json_bytes=left.to_str().encode())
    with pytest.raises(TokenizerError, match="AutoTokenizer"):
        check(wrong, "pair")


def test_tokenizer_json_and_a_slow_tokenizer_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    slow_tokenizers.save_deberta(tmp_path, has_bytes=False)
    transformers.AutoTokenizer.from_pretrained(tmp_path).save_pretrained(tmp_path)
    check(open_files(tmp_path, "deberta-v2"), "text")
    edit_json(tmp_path / "tokenizer_config.json", do_lower_case=True)  # which the fast tokenizer of DeBERTa ignores
    with pytest.raises(TokenizerError, match=r"DebertaV2Tokenizer of transformers disagree.*remove tokenizer\.json"):
        check(open_files(tmp_path, "deberta-v2"), "text")


def test_long_rows_are_not_much_longer_than_a_short_limit(tmp_path: Path) -> None:
    """transformers keeps every combination of the pieces cut off a pair: of 1,000 tokens each, those are gigabytes."""
    edit_json(copy_tokenizer("pair-classifier", tmp_path) / "tokenizer_config.json", model_max_length=5)
    files = read([tmp_path], {"vocab_size": 2_048}, 512)
    rows = gate._make_long("pair", files)
    assert all(len(files.tokenizer.encode(*row).ids) > 5 for row in rows)
    assert len(files.tokenizer.encode(*rows[-1], add_special_tokens=False).ids) <= 2 * 2 * 5 + 2
    assert check(files, "pair") > 200


def test_a_regular_expression_that_backtracks_without_end_is_refused(tmp_path: Path) -> None:
    copy_tokenizer("complexity-base", tmp_path)
    bomb = {"type": "Split", "pattern": {"Regex": "(.*.*)*x"}, "behavior": "Isolated", "invert": False}
    edit_json(tmp_path / "tokenizer.json", pre_tokenizer=bomb)
    with pytest.raises(CheckpointError, match=r"cannot be loaded: PanicException: .*retry-limit") as caught:
        check(read([tmp_path], {"vocab_size": 2_048}, 128), "text")
    assert "\n" not in str(caught.value)


def test_a_regular_expression_that_fails_on_a_probe_is_blamed_on_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizer_probes, "ORDINARY", ["a" * 60])
    copy_tokenizer("complexity-base", tmp_path)
    bomb = {"type": "Split", "pattern": {"Regex": "(a+a+)+y"}, "behavior": "Isolated", "invert": False}
    edit_json(tmp_path / "tokenizer.json", pre_tokenizer=bomb)
    files = read([tmp_path], {"vocab_size": 2_048}, 128)
    with pytest.raises(CheckpointError, match=r"the tokenizer, from tokenizer.json, fails on '.*retry-limit"):
        check(files, "text")


def test_a_tokenizer_that_cannot_encode_a_pair_is_refused(tmp_path: Path) -> None:
    slow_tokenizers.save_xlm_roberta(tmp_path)
    edit_json(tmp_path / "tokenizer_config.json", sep_token=None)
    with pytest.raises(CheckpointError, match="cannot be loaded: TypeError"):
        check(open_files(tmp_path, "xlm-roberta"), "text")


def test_a_limit_that_leaves_no_room_for_text_is_refused(tmp_path: Path) -> None:
    edit_json(copy_tokenizer("pair-classifier", tmp_path) / "tokenizer_config.json", model_max_length=3)
    files = read([tmp_path], {"vocab_size": 2_048}, 512)
    with pytest.raises(CheckpointError, match="3 special tokens leave no room in a max_length of 3"):
        check(files, "pair")


def test_transformers_reads_a_pair_without_a_second_text_in_two_ways_and_the_runtime_in_the_first() -> None:
    auto = transformers.AutoTokenizer.from_pretrained(CHECKPOINTS / "pair-classifier")
    one_call, batched = auto("Rain", "")["input_ids"], auto([("Rain", "")])["input_ids"][0]
    separator = auto.sep_token_id
    assert batched == [*one_call, separator]
    files = read([CHECKPOINTS / "pair-classifier"], {"vocab_size": 2_048}, 512)
    assert ids(files, "pair", ("Rain", "")) == one_call


def test_the_probes_spell_out_each_added_token_alone_and_between_words() -> None:
    assert {"[OBJ]", "a[OBJ]b", "a [OBJ] b", "[obj]"} <= set(tokenizer_probes.list_token_probes(["[OBJ]"]))
    assert len(set(tokenizer_probes.UNUSUAL)) == len(tokenizer_probes.UNUSUAL)
    assert not set(tokenizer_probes.ORDINARY) & set(real_text.TEXTS)
    assert json.loads(json.dumps(tokenizer_probes.UNUSUAL)) == list(tokenizer_probes.UNUSUAL)
