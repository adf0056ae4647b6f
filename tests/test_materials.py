"""The runtime reproduces the real tokenizers of both model families, if they are on this machine."""

from pathlib import Path

from assay.inputs.tokenization import BundleTokenizer

DEBERTA_IDS = [1, 458, 2884, 2894, 302, 2, 11014, 2129, 335, 529, 16381, 267, 262, 3384, 54900, 268, 352, 36151, 260, 2]


def test_the_real_deberta_tokenizer_returns_the_known_ids_for_the_pair_of_the_card(materials: Path) -> None:
    data = (materials / "tokenizers" / "deberta-v3" / "tokenizer.json").read_bytes()
    pair = ("What causes rain?", "Rain forms when water vapor in the atmosphere condenses into droplets.")
    (tokens,) = BundleTokenizer(data, "pair", 512, "longest_first").encode([pair], truncate=False, first=None)
    assert tokens.ids.tolist() == DEBERTA_IDS


def test_the_real_modernbert_tokenizer_returns_the_known_ids(materials: Path) -> None:
    data = (materials / "tokenizers" / "modernbert" / "tokenizer.json").read_bytes()
    (tokens,) = BundleTokenizer(data, "text", 8192, "refuse").encode(["What causes rain?"], truncate=False, first=None)
    assert tokens.ids.tolist() == [50281, 1276, 5997, 9313, 32, 50282]


def test_the_real_tokenizers_agree_with_transformers_on_real_text(materials: Path) -> None:
    import json

    from transformers import PreTrainedTokenizerFast

    path = materials / "tokenizers" / "modernbert" / "tokenizer.json"
    lines = (materials / "text" / "arena_hard_v0.1_question.jsonl").read_text(encoding="utf-8").splitlines()[:100]
    texts = [json.loads(line)["prompt"] for line in lines]
    ours = BundleTokenizer(path.read_bytes(), "text", 8192, "refuse").encode(texts, truncate=False, first=0)
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(path))(texts)["input_ids"]
    assert [tokens.ids.tolist() for tokens in ours] == theirs
