"""Crossed pairs against the same pairs encoded one by one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, processors

from assay.errors import InputError
from assay.inputs.crossed_pairs import CrossedPairs
from assay.inputs.tokenization import BundleTokenizer
from tests.runtime import tiny

WORD = st.sampled_from([*tiny.WORDS, "unknown", " ", "[CLS]x", "\0"])
TEXTS = st.lists(st.lists(WORD, max_size=12).map(" ".join), max_size=4)


def cut_the_beginning(tokenizer: Tokenizer) -> None:
    tokenizer.enable_truncation(9, direction="left")


def like_roberta(tokenizer: Tokenizer) -> None:
    tokenizer.post_processor = processors.RobertaProcessing(sep=("[SEP]", 3), cls=("[CLS]", 2))


def without_special_tokens(tokenizer: Tokenizer) -> None:
    tokenizer.post_processor = None


def the_second_text_first(tokenizer: Tokenizer) -> None:
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A", pair="[CLS] $B:1 [SEP] $A:0", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )


def nothing(tokenizer: Tokenizer) -> None:
    assert tokenizer.post_processor is not None


CHANGES = [nothing, cut_the_beginning, like_roberta, without_special_tokens, the_second_text_first]


def make(change: Callable[[Tokenizer], None], max_length: int, truncation: Any = "longest_first") -> BundleTokenizer:
    tokenizer = tiny.tokenizer()
    change(tokenizer)
    return BundleTokenizer(tokenizer.to_str().encode(), "pair", max_length, truncation)


def encode(call: Callable[[], Any]) -> Any:
    """The ids and type ids of the rows, or the error."""
    try:
        return [(row.ids.tolist(), row.type_ids.tolist(), row.ids.dtype, row.type_ids.dtype) for row in call()]
    except InputError as error:
        return str(error), error.row


@pytest.mark.parametrize("truncation", ["longest_first", "refuse"])
@pytest.mark.parametrize("change", CHANGES)
@given(firsts=TEXTS, seconds=TEXTS, max_length=st.integers(5, 40))
def test_they_have_the_tokens_and_the_errors_of_pairs_encoded_one_by_one(
    change: Any, truncation: str, firsts: list[str], seconds: list[str], max_length: int
) -> None:
    tokenizer = make(change, max_length, truncation)
    pairs = [(first, second) for first in firsts for second in seconds]
    found = encode(lambda: CrossedPairs(tokenizer, seconds).encode(firsts, False, 7))
    assert found == encode(lambda: tokenizer.encode(pairs, False, 7))
    found = encode(lambda: CrossedPairs(tokenizer, seconds).encode(firsts, True, 0))
    assert found == encode(lambda: tokenizer.encode(pairs, True, 0))


@pytest.mark.parametrize("max_length", [20, 512])
@pytest.mark.parametrize("name", ["deberta-v3", "modernbert"])
def test_they_have_the_tokens_of_real_tokenizers(name: str, max_length: int, materials: Path) -> None:
    data = (materials / "tokenizers" / name / "tokenizer.json").read_bytes()
    firsts = ["What causes rain?", "", " leading", "[SEP] in a text", "日本語のテキスト", "word " * 60]
    seconds = ["This example is weather.", "x", " y", "", "🌧", "label " * 40]
    tokenizer = BundleTokenizer(data, "pair", max_length, "longest_first")
    pairs = [(first, second) for first in firsts for second in seconds]
    found = encode(lambda: CrossedPairs(tokenizer, seconds).encode(firsts, False, 0))
    assert found == encode(lambda: tokenizer.encode(pairs, False, 0))


def test_each_text_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = make(nothing, 16)
    encoded: list[str] = []
    encode_texts = tokenizer.encode_texts

    def record(texts: Any) -> Any:
        encoded.extend(texts)
        return encode_texts(texts)

    monkeypatch.setattr(tokenizer, "encode_texts", record)
    crossed = CrossedPairs(tokenizer, ["b", "c", "d"])
    encoded = [text for text in encoded if text != "a"]  # of the pair that shows the special tokens
    monkeypatch.setattr(tokenizer, "encode", None)
    rows = [*crossed.encode(["what", "rain"], False, 0), *crossed.encode(["water"], False, 6)]
    assert len(rows) == 9
    assert encoded == ["b", "c", "d", "what", "rain", "water"]
