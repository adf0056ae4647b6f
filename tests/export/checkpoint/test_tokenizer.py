"""The tokenizer of a bundle is the checkpoint's own, whichever library opens it."""

import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import transformers
from tokenizers import Tokenizer, models, processors

from assay_export.checkpoint.tokenizer import TokenizerFiles, dump, read
from assay_export.errors import CheckpointError
from assay_export.texts import real_text
from tests.export import tiny
from tests.export.checkpoints import edit_json

CONFIG = {**tiny.modernbert_config(), "pad_token_id": 0}
TEXTS = ["abc", "", "hello world 42", "a?b", "zz top"]

Write = Callable[[Path], Path]


def bundle(folder: Path, files: TokenizerFiles, config: dict[str, Any] = CONFIG) -> Path:
    """Write the three files as an export does."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_bytes(files.json_bytes)
    (folder / "tokenizer_config.json").write_text(dump(files.config))
    return folder


def ids(tokenizer: Tokenizer, *texts: str) -> list[int]:
    encoded: list[int] = tokenizer.encode(*texts).ids
    return encoded


class TestOwnTokenizer:
    def test_tokenizer_json_is_taken_byte_for_byte(self, write_tokenizer: Write, tmp_path: Path) -> None:
        write_tokenizer(tmp_path)
        file = tmp_path / "tokenizer.json"
        file.write_bytes(b"\n " + file.read_bytes() + b"\r\n\n")
        files = read([tmp_path], CONFIG, 90)
        assert files.json_bytes == file.read_bytes()
        assert files.origin == "tokenizer.json"

    @pytest.mark.parametrize("length", [20, 90])  # 90 is also the longest input: SetFit's training pads to it
    def test_padding_and_truncation_in_the_file_do_not_affect_the_encodings(
        self, length: int, tokenizer: Tokenizer, tmp_path: Path
    ) -> None:
        own = Tokenizer.from_str(tokenizer.to_str())
        own.enable_truncation(4)
        own.enable_padding(length=length)
        own.save(str(tmp_path / "tokenizer.json"))
        files = read([tmp_path], CONFIG, 90)
        assert ids(files.tokenizer, "abcdefgh") == ids(tokenizer, "abcdefgh")
        assert json.loads(files.json_bytes)["truncation"]["max_length"] == 4

    def test_the_first_folder_with_a_tokenizer_wins(
        self, write_tokenizer: Write, tokenizer: Tokenizer, tmp_path: Path
    ) -> None:
        for name in ("adapter", "base"):
            (tmp_path / name).mkdir()
        write_tokenizer(tmp_path / "base")
        folders = [tmp_path / "adapter", tmp_path / "base"]
        assert ids(read(folders, CONFIG, 90).tokenizer, "x") == ids(tokenizer, "x")
        (tmp_path / "adapter" / "tokenizer.json").write_text(tokenizer.to_str(pretty=True))
        assert read(folders, CONFIG, 90).json_bytes == tokenizer.to_str(pretty=True).encode()

    @pytest.mark.parametrize("content", [b"", b"garbage", b"{}", b"[]", b"\xff\xfe\x00", b'{"model": {"type": "BPE"}}'])
    def test_a_tokenizer_that_does_not_parse_is_refused(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "tokenizer.json").write_bytes(content)
        with pytest.raises(CheckpointError, match=r"tokenizer\.json cannot be read by tokenizers"):
            read([tmp_path], CONFIG, 90)

    def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(
        self, write_tokenizer: Write, tokenizer: Tokenizer, tmp_path: Path
    ) -> None:
        size = tokenizer.get_vocab_size()
        read([write_tokenizer(tmp_path)], {**CONFIG, "vocab_size": size}, 90)
        with pytest.raises(CheckpointError, match=f"has {size} tokens, but config.json says vocab_size = {size - 1}"):
            read([tmp_path], {**CONFIG, "vocab_size": size - 1}, 90)

    def test_token_ids_beyond_the_number_of_tokens_are_checked(self, tmp_path: Path) -> None:
        """A vocabulary with gaps may have fewer tokens than the model has rows, and an id beyond the last row."""
        words = {"[UNK]": 0, "a": 1, "b": 500}
        model = {"type": "WordLevel", "vocab": words, "unk_token": "[UNK]"}
        (tmp_path / "tokenizer.json").write_text(json.dumps({"version": "1.0", "added_tokens": [], "model": model}))
        with pytest.raises(CheckpointError, match="vocab_size = 60"):
            read([tmp_path], CONFIG, 90)

    @pytest.mark.parametrize("size", [None, "many", 1.5])
    def test_a_config_without_a_vocabulary_size_is_refused(
        self, write_tokenizer: Write, tmp_path: Path, size: object
    ) -> None:
        with pytest.raises(CheckpointError, match="vocab_size"):
            read([write_tokenizer(tmp_path)], {**CONFIG, "vocab_size": size}, 90)

    def test_a_checkpoint_without_a_tokenizer_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match=r"no tokenizer\.json or spm\.model in .*copy the checkpoint's"):
            read([tmp_path, tmp_path / "base"], CONFIG, 90)


class TestTokenizerConfig:
    @pytest.mark.parametrize("written_by", ["TokenizersBackend", "DebertaV2Tokenizer", "NoSuchTokenizer", None])
    def test_auto_tokenizer_returns_the_same_ids_whichever_version_wrote_the_checkpoint(
        self, write_tokenizer: Write, tokenizer: Tokenizer, tmp_path: Path, written_by: str | None
    ) -> None:
        (tmp_path / "checkpoint").mkdir()
        write_tokenizer(tmp_path / "checkpoint")
        file = tmp_path / "checkpoint" / "tokenizer_config.json"
        found = json.loads(file.read_text()) | {"tokenizer_class": written_by, "extra_special_tokens": {}, "backend": 5}
        file.write_text(json.dumps(found))
        folder = bundle(tmp_path / "bundle", read([tmp_path / "checkpoint"], CONFIG, 90))
        auto = transformers.AutoTokenizer.from_pretrained(folder)
        assert auto(TEXTS)["input_ids"] == [ids(tokenizer, text) for text in TEXTS]
        assert auto(TEXTS, TEXTS[::-1])["input_ids"] == [
            ids(tokenizer, *pair) for pair in zip(TEXTS, TEXTS[::-1], strict=True)
        ]
        assert list(auto("a", "b")) == ["input_ids", "attention_mask"]
        assert auto.model_max_length == 90
        padded = auto(["a", "abc"], padding=True)
        assert padded["attention_mask"] == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
        assert padded["input_ids"][0][3:] == [0, 0]

    def test_auto_tokenizer_truncates_at_the_length_of_the_model(self, write_tokenizer: Write, tmp_path: Path) -> None:
        (tmp_path / "checkpoint").mkdir()
        files = read([write_tokenizer(tmp_path / "checkpoint")], CONFIG, 12)
        auto = transformers.AutoTokenizer.from_pretrained(bundle(tmp_path / "bundle", files))
        assert len(auto("a" * 50, truncation=True)["input_ids"]) == 12

    def test_auto_tokenizer_returns_token_type_ids_if_the_model_reads_them(
        self, write_tokenizer: Write, tmp_path: Path
    ) -> None:
        (tmp_path / "checkpoint").mkdir()
        files = read([write_tokenizer(tmp_path / "checkpoint")], CONFIG, 90).with_inputs(
            ["input_ids", "token_type_ids"]
        )
        auto = transformers.AutoTokenizer.from_pretrained(bundle(tmp_path / "bundle", files))
        assert auto("a", "b")["token_type_ids"] == [0, 0, 0, 1, 1]

    def test_special_tokens_are_those_of_the_checkpoint(self, write_tokenizer: Write, tmp_path: Path) -> None:
        write_tokenizer(tmp_path)
        (tmp_path / "tokenizer_config.json").write_text(
            json.dumps({"cls_token": {"content": "[CLS]", "lstrip": False}, "pad_token": "not a token"})
        )
        (tmp_path / "special_tokens_map.json").write_text(json.dumps({"unk_token": "[UNK]", "mask_token": None}))
        config = read([tmp_path], CONFIG, 90).config
        assert config["cls_token"] == "[CLS]"
        assert config["unk_token"] == "[UNK]"
        assert "mask_token" not in config

    def test_special_tokens_that_no_tokenizer_file_names_are_those_of_the_models_config(
        self, write_tokenizer: Write, tmp_path: Path
    ) -> None:
        write_tokenizer(tmp_path)
        (tmp_path / "tokenizer_config.json").unlink()
        config = read([tmp_path], {**CONFIG, "sep_token_id": 2, "cls_token_id": 1}, 90).config
        assert (config["pad_token"], config["cls_token"], config["sep_token"]) == ("[PAD]", "[CLS]", "[SEP]")

    @pytest.mark.parametrize("name", ["tokenizer_config.json", "special_tokens_map.json"])
    def test_a_file_that_is_not_json_is_refused(self, write_tokenizer: Write, tmp_path: Path, name: str) -> None:
        write_tokenizer(tmp_path)
        (tmp_path / name).write_text("{")
        with pytest.raises(CheckpointError, match=f"{name} cannot be read as JSON"):
            read([tmp_path], CONFIG, 90)


def test_the_template_shows_the_special_tokens_around_a_text_and_a_pair(write_tokenizer: Write, tmp_path: Path) -> None:
    assert read([write_tokenizer(tmp_path)], CONFIG, 90).describe_template() == {
        "single": ["[CLS]", "$A", "[SEP]"],
        "pair": ["[CLS]", "$A", "[SEP]", "$B", "[SEP]"],
    }


@pytest.fixture(scope="module")
def spm_model() -> bytes:
    """A small SentencePiece unigram model with the special tokens of DeBERTa-v3."""
    stream = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([text for text in real_text.TEXTS if text] * 3),
        model_writer=stream,
        vocab_size=250,
        model_type="unigram",
        normalization_rule_name="nmt_nfkc",
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
        pad_id=0,
        pad_piece="[PAD]",
        bos_id=1,
        bos_piece="[CLS]",
        eos_id=2,
        eos_piece="[SEP]",
        unk_id=3,
        unk_piece="[UNK]",
    )
    return stream.getvalue()


class TestConversion:
    CONFIG = tiny.deberta_config(vocab_size=300)

    def test_a_sentencepiece_model_is_converted_to_its_own_ids(self, spm_model: bytes, tmp_path: Path) -> None:
        (tmp_path / "spm.model").write_bytes(spm_model)
        files = read([tmp_path], self.CONFIG, 40)
        own = sentencepiece.SentencePieceProcessor(model_proto=spm_model)
        assert files.origin == "spm.model"
        for text in ("What causes rain?", "Ok.", "(at 10:45 a.m.)", "ﬁve… ½", "zebra ☃"):
            assert ids(files.tokenizer, text) == [1, *own.encode(text), 2], text
        assert ids(files.tokenizer, "Rain", "Ok.") == [1, *own.encode("Rain"), 2, *own.encode("Ok."), 2]

    def test_the_converted_tokenizer_opens_with_auto_tokenizer_and_returns_the_same_ids(
        self, spm_model: bytes, tmp_path: Path
    ) -> None:
        (tmp_path / "spm.model").write_bytes(spm_model)
        files = read([tmp_path], self.CONFIG, 40)
        auto = transformers.AutoTokenizer.from_pretrained(bundle(tmp_path / "bundle", files, self.CONFIG))
        texts = [text for text in real_text.TEXTS if text]
        assert auto(texts)["input_ids"] == [ids(files.tokenizer, text) for text in texts]
        assert auto.pad_token_id == 0

    def test_tokenizer_json_is_preferred_to_a_sentencepiece_model(
        self, spm_model: bytes, write_tokenizer: Write, tmp_path: Path
    ) -> None:
        (tmp_path / "spm.model").write_bytes(spm_model)
        assert read([write_tokenizer(tmp_path)], CONFIG, 90).origin == "tokenizer.json"

    @pytest.mark.parametrize("content", [b"", b"garbage" * 100])
    def test_a_sentencepiece_model_that_does_not_parse_is_refused(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "spm.model").write_bytes(content)
        with pytest.raises(CheckpointError, match=r"spm\.model cannot be converted to tokenizer\.json") as caught:
            read([tmp_path], self.CONFIG, 40)
        assert "\n" not in str(caught.value)

    def test_a_bert_vocabulary_is_converted(self, tmp_path: Path) -> None:
        words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "rain", "what", "##s", "?"]
        (tmp_path / "vocab.txt").write_text("\n".join(words))
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
        files = read([tmp_path], {"vocab_size": 9, "model_type": "bert"}, 40)
        assert files.origin == "vocab.txt"
        assert ids(files.tokenizer, "What rains?") == [2, 6, 5, 7, 8, 3]


class TestRealTokenizers:
    """The tokenizers in ../shared/tokenizers; its PROVENANCE.md states the known ids."""

    def test_the_tokenizer_of_deberta_v3_returns_the_known_ids(self, materials: Path) -> None:
        files = read([materials / "tokenizers" / "deberta-v3"], {"vocab_size": 128_100, "pad_token_id": 0}, 512)
        pair = ("What causes rain?", "Rain forms when water vapor in the atmosphere condenses into droplets.")
        known = "1 458 2884 2894 302 2 11014 2129 335 529 16381 267 262 3384 54900 268 352 36151 260 2"
        assert ids(files.tokenizer, *pair) == [int(token) for token in known.split()]
        assert files.describe_template()["pair"] == ["[CLS]", "$A", "[SEP]", "$B", "[SEP]"]

    def test_the_tokenizer_of_modernbert_returns_the_known_ids(self, materials: Path) -> None:
        config = {"vocab_size": 50_368, "pad_token_id": 50_283, "cls_token_id": 50_281, "sep_token_id": 50_282}
        files = read([materials / "tokenizers" / "modernbert"], config, 8192)
        assert ids(files.tokenizer, "What causes rain?") == [50281, 1276, 5997, 9313, 32, 50282]
        assert files.config["pad_token"] == "[PAD]"

    def test_the_sentencepiece_model_of_deberta_v3_converts_to_its_tokenizer_json(
        self, materials: Path, tmp_path: Path
    ) -> None:
        folder = materials / "tokenizers" / "deberta-v3"
        (tmp_path / "spm.model").write_bytes((folder / "spm.model").read_bytes())
        config = {"vocab_size": 128_100, "pad_token_id": 0}
        converted = read([tmp_path], config, 512)
        own = read([folder], config, 512)
        assert json.loads(converted.json_bytes)["normalizer"] == json.loads(own.json_bytes)["normalizer"]
        texts = [*real_text.TEXTS, "ﬁve… ½ x² 「quote」 non\u00a0breaking \uff51\uff55\uff4f\uff54\uff45"]
        assert [ids(converted.tokenizer, text) for text in texts] == [ids(own.tokenizer, text) for text in texts]


class TestTokenizersThatCannotAnswer:
    """Each opens, and would fail or answer by chance later."""

    def test_dropout_splits_a_text_differently_at_each_call(self, write_tokenizer: Write, tmp_path: Path) -> None:
        words = {"[UNK]": 0, "a": 1, "b": 2, "ab": 3, "[CLS]": 4}
        made = Tokenizer(models.BPE(words, [("a", "b")], unk_token="[UNK]", dropout=0.001))
        made.post_processor = processors.TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", 4)])
        write_tokenizer(tmp_path)
        made.save(str(tmp_path / "tokenizer.json"))
        with pytest.raises(CheckpointError, match=r"dropout = 0\.001 in its model splits a text differently"):
            read([tmp_path], CONFIG, 90)

    def test_without_an_unknown_token_some_texts_cannot_be_encoded(
        self, write_tokenizer: Write, tmp_path: Path
    ) -> None:
        made = Tokenizer(models.Unigram([("[CLS]", 0.0), ("a", -1.0), ("b", -2.0)]))
        made.post_processor = processors.TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", 0)])
        write_tokenizer(tmp_path)
        made.save(str(tmp_path / "tokenizer.json"))
        (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
        with pytest.raises(CheckpointError, match=r"fails for characters that are not in its vocabulary .*unk_id"):
            read([tmp_path], CONFIG, 90)

    def test_without_special_tokens_an_empty_text_has_no_tokens(self, write_tokenizer: Write, tmp_path: Path) -> None:
        file = write_tokenizer(tmp_path) / "tokenizer.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"post_processor": None}))
        with pytest.raises(CheckpointError, match="the post_processor is missing"):
            read([tmp_path], CONFIG, 90)

    @pytest.mark.parametrize("value", [None, "input_ids", [1]])
    def test_names_of_inputs_that_are_no_list_are_refused(
        self, value: Any, write_tokenizer: Write, tmp_path: Path
    ) -> None:
        edit_json(write_tokenizer(tmp_path) / "tokenizer_config.json", model_input_names=value)
        with pytest.raises(CheckpointError, match=r"model_input_names = .* expected a list of names"):
            read([tmp_path], CONFIG, 90)

    def test_two_tokens_of_one_id_are_refused(self, write_tokenizer: Write, tmp_path: Path) -> None:
        file = write_tokenizer(tmp_path) / "tokenizer.json"
        document = json.loads(file.read_text())
        vocabulary = {"[PAD]": 0, "[CLS]": 1, "[SEP]": 2, "[UNK]": 3, "[MASK]": 4, "a": 5, "b": 6, "ab": 7, "bb": 7}
        document["model"] = {
            "type": "BPE",
            "vocab": vocabulary,
            "merges": [["a", "b"], ["b", "b"]],
            "unk_token": "[UNK]",
        }
        file.write_text(json.dumps(document))
        with pytest.raises(CheckpointError, match="cannot be loaded"):
            read([tmp_path], CONFIG, 90)

    def test_a_file_over_which_tokenizers_panics_is_refused(self, write_tokenizer: Write, tmp_path: Path) -> None:
        normalizer = {"type": "Precompiled", "precompiled_charsmap": ""}
        edit_json(write_tokenizer(tmp_path) / "tokenizer.json", normalizer=normalizer)
        with pytest.raises(CheckpointError, match=r"tokenizer.json cannot be loaded: PanicException: Precompiled"):
            read([tmp_path], CONFIG, 90)

    @pytest.mark.parametrize("value", [{"a": 1}, {}])
    def test_a_special_token_without_content_is_refused(
        self, value: dict[str, int], write_tokenizer: Write, tmp_path: Path
    ) -> None:
        edit_json(write_tokenizer(tmp_path) / "tokenizer_config.json", pad_token=value)
        with pytest.raises(CheckpointError, match="Special token pad_token has to be"):
            read([tmp_path], CONFIG, 90)

    @pytest.mark.parametrize("value", ["64", True, math.nan, -1, [512]])
    def test_a_length_that_is_no_number_is_refused(self, value: Any, write_tokenizer: Write, tmp_path: Path) -> None:
        edit_json(write_tokenizer(tmp_path) / "tokenizer_config.json", model_max_length=value)
        with pytest.raises(CheckpointError, match=r"model_max_length = .* expected a number of at least 1"):
            read([tmp_path], CONFIG, 90)

    def test_a_length_without_room_for_a_text_is_refused(self, write_tokenizer: Write, tmp_path: Path) -> None:
        edit_json(write_tokenizer(tmp_path) / "tokenizer_config.json", model_max_length=2)
        with pytest.raises(CheckpointError, match="2 special tokens around a text leave no room"):
            read([tmp_path], CONFIG, 90)
        edit_json(tmp_path / "tokenizer_config.json", model_max_length=3)
        assert read([tmp_path], CONFIG, 90).max_length == 3

    def test_a_pointer_of_git_lfs_is_named(self, write_tokenizer: Write, tmp_path: Path) -> None:
        (write_tokenizer(tmp_path) / "tokenizer.json").write_text("version https://git-lfs.github.com/spec/v1\n")
        with pytest.raises(CheckpointError, match=r"tokenizer\.json: is a pointer of Git LFS"):
            read([tmp_path], CONFIG, 90)
