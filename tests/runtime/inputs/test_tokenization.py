import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Encoding, Tokenizer

from assay.errors import BundleError, InputError
from assay.inputs.tokenization import BundleTokenizer, longest_first
from tests.runtime import tiny

SHARED = Path(__file__).parents[4] / "shared" / "tokenizers"
TINY = tiny.tokenizer().to_str().encode()
WORD = st.sampled_from([*tiny.WORDS, "unknown", " ", "[CLS]x", "ﬁ", "\0"])
TEXT = st.lists(WORD, max_size=30).map(" ".join) | st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def library(max_length: int | None) -> Tokenizer:
    """The tokenizers library with its own truncation, which transformers' fast tokenizers use."""
    made = Tokenizer.from_buffer(TINY)
    if max_length is not None:
        made.enable_truncation(max_length, strategy="longest_first")
    return made


def ours(max_length: int, kind: Any = "pair", truncation: Any = "longest_first") -> BundleTokenizer:
    return BundleTokenizer(TINY, kind, max_length, truncation)


@given(first=TEXT, second=TEXT, max_length=st.integers(4, 40))
def test_pairs_are_cut_as_the_library_cuts_them(first: str, second: str, max_length: int) -> None:
    expected: Encoding = library(max_length).encode(first, second or None)
    (tokens,) = ours(max_length).encode([(first, second)], False, 0)
    assert tokens.ids.tolist() == expected.ids
    assert tokens.type_ids.tolist() == expected.type_ids


@given(text=TEXT, max_length=st.integers(3, 40))
def test_single_texts_are_cut_as_the_library_cuts_them(text: str, max_length: int) -> None:
    (tokens,) = ours(max_length, "text").encode([text], False, 0)
    assert tokens.ids.tolist() == library(max_length).encode(text).ids


@given(pairs=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4))
def test_pairs_are_tokenised_as_by_transformers(pairs: list[tuple[str, str]]) -> None:
    transformers = pytest.importorskip("transformers")
    reference = transformers.PreTrainedTokenizerFast(tokenizer_object=library(None))
    tokens = ours(16).encode(pairs, False, 0)
    for (first, second), row in zip(pairs, tokens, strict=True):
        assert row.ids.tolist() == reference(first, second, truncation=True, max_length=16)["input_ids"]


@given(first=st.integers(0, 60), second=st.integers(0, 60), room=st.integers(0, 60))
def test_the_shares_of_a_pair_fill_the_room_and_no_more(first: int, second: int, room: int) -> None:
    kept = longest_first(first, second, room)
    assert sum(kept) == min(room, first + second)
    assert kept[0] <= first
    assert kept[1] <= second


def test_a_pair_without_a_second_text_is_encoded_as_on_the_card() -> None:
    tokens = ours(16).encode([("a b", ""), ("", "a b"), ("", "")], False, 0)
    words = [[tiny.WORDS[number] for number in row.ids] for row in tokens]
    (alone,) = ours(16).encode([("a b", "")], False, None)
    assert alone.ids.tolist() == tokens[0].ids.tolist()
    assert words == [["[CLS]", "a", "b", "[SEP]"], ["[CLS]", "[SEP]", "a", "b", "[SEP]"], ["[CLS]", "[SEP]"]]


def test_a_long_pair_costs_no_more_than_its_length() -> None:
    """The library's own truncation takes gigabytes for this one."""
    (tokens,) = ours(16).encode([("water " * 80_000, "rain " * 80_000)], False, 0)
    assert tokens.ids.tolist() == [2, *[tiny.WORDS.index("water")] * 6, 3, *[tiny.WORDS.index("rain")] * 7, 3]


def test_truncation_and_padding_stored_in_the_file_do_not_apply() -> None:
    stored = tiny.tokenizer()
    stored.enable_truncation(5)
    stored.enable_padding(length=12)
    tokenizer = BundleTokenizer(stored.to_str().encode(), "text", 16, "longest_first")
    (tokens,) = tokenizer.encode(["a b c d e f g"], False, 0)
    assert len(tokens.ids) == 9


@given(first=TEXT, second=TEXT, max_length=st.integers(4, 40))
def test_a_tokenizer_that_truncates_on_the_left_keeps_the_ends_as_the_library_does(
    first: str, second: str, max_length: int
) -> None:
    stored = tiny.tokenizer()
    stored.enable_truncation(5, direction="left")
    data = stored.to_str().encode()
    stored.enable_truncation(max_length, strategy="longest_first", direction="left")
    (pair,) = BundleTokenizer(data, "pair", max_length, "longest_first").encode([(first, second)], False, 0)
    (text,) = BundleTokenizer(data, "text", max_length, "longest_first").encode([first], False, 0)
    assert pair.ids.tolist() == stored.encode(first, second or None).ids
    assert text.ids.tolist() == stored.encode(first).ids


def test_special_tokens_that_a_text_spells_out_are_text_if_the_bundle_says_so() -> None:
    tokens = {
        split: BundleTokenizer(TINY, "text", 16, "refuse", split).encode(["a[SEP]"], False, 0)[0].ids.tolist()
        for split in (False, True)
    }
    a, unknown = tiny.WORDS.index("a"), tiny.WORDS.index("[UNK]")
    assert tokens == {False: [2, a, 3, 3], True: [2, a, unknown, unknown, unknown, 3]}


def test_one_row_is_cut_to_another_length_than_the_bundles() -> None:
    tokenizer = ours(16, "text", "refuse")
    assert [len(row.ids) for row in tokenizer.encode_to("a " * 30, [5, 40])] == [5, 32]


def test_a_bundle_that_refuses_names_the_row_and_both_counts() -> None:
    tokenizer = ours(16, "text", "refuse")
    with pytest.raises(InputError, match=r"row 8 has 22 tokens, the model reads 16.*truncate=True") as caught:
        tokenizer.encode(["a", "a " * 20], False, 7)
    assert caught.value.row == 8
    with pytest.raises(InputError, match=r"^the text has 1,002 tokens"):
        tokenizer.encode(["a " * 1_000], False, None)
    assert len(tokenizer.encode(["a " * 20], True, 0)[0].ids) == 16
    assert len(tokenizer.encode(["a " * 14], False, 0)[0].ids) == 16


@pytest.mark.parametrize(("kind", "special"), [("text", 2), ("pair", 3)])
def test_a_limit_without_room_for_text_is_refused(kind: Any, special: int) -> None:
    """The library would return the whole text for it, in silence."""
    with pytest.raises(BundleError, match=f"{special} special tokens"):
        ours(special, kind)
    assert (
        len(ours(special + 1, kind).encode([("a", "b") if kind == "pair" else "a b"], False, 0)[0].ids) == special + 1
    )


def test_a_row_without_tokens_is_refused() -> None:
    bare = tiny.tokenizer()
    bare.post_processor = None
    tokenizer = BundleTokenizer(bare.to_str().encode(), "text", 16, "longest_first")
    with pytest.raises(InputError, match="row 1 has no tokens"):
        tokenizer.encode(["a", ""], False, 0)


def test_more_rows_than_fit_one_call_keep_their_order() -> None:
    rows = [tiny.WORDS[6 + number % 10] for number in range(2_500)]
    tokens = ours(16, "text").encode(rows, False, 0)
    assert [tiny.WORDS[row.ids[1]] for row in tokens] == rows


def test_a_text_that_the_tokenizer_cannot_encode_is_a_bundle_error() -> None:
    stored = json.loads(TINY)
    stored["model"]["unk_token"] = "absent"
    with pytest.raises(BundleError, match=r"tokenizer\.json"):
        BundleTokenizer(json.dumps(stored).encode(), "text", 16, "refuse").encode(["unknown"], False, 0)


@pytest.mark.parametrize(
    ("folder", "kind", "row", "ids"),
    [
        (
            "deberta-v3",
            "pair",
            ("What causes rain?", "Rain forms when water vapor in the atmosphere condenses into droplets."),
            "1 458 2884 2894 302 2 11014 2129 335 529 16381 267 262 3384 54900 268 352 36151 260 2",
        ),
        ("modernbert", "text", "What causes rain?", "50281 1276 5997 9313 32 50282"),
    ],
)
def test_the_published_tokenizers_give_the_ids_on_record(folder: str, kind: Any, row: Any, ids: str) -> None:
    path = SHARED / folder / "tokenizer.json"
    if not path.exists():
        pytest.skip("shared/tokenizers is not beside the repository")
    tokenizer = BundleTokenizer(path.read_bytes(), kind, 512, "longest_first")
    assert " ".join(map(str, tokenizer.encode([row], False, 0)[0].ids)) == ids


@pytest.mark.parametrize("folder", ["deberta-v3", "modernbert"])
@pytest.mark.parametrize("max_length", [9, 512])
def test_the_published_tokenizers_cut_real_text_as_the_library_does(folder: str, max_length: int) -> None:
    path = SHARED / folder / "tokenizer.json"
    text = SHARED.parent / "text" / "vicuna_bench_question.jsonl"
    if not path.exists() or not text.exists():
        pytest.skip("shared/tokenizers and shared/text are not beside the repository")
    lines = text.read_text().splitlines()
    rows = [(lines[number] * (1 + number % 3), lines[-number]) for number in range(20)]
    reference = Tokenizer.from_file(str(path))
    reference.enable_truncation(max_length)
    tokens = BundleTokenizer(path.read_bytes(), "pair", max_length, "longest_first").encode(rows, False, 0)
    assert [row.ids.tolist() for row in tokens] == [encoding.ids for encoding in reference.encode_batch(rows)]
