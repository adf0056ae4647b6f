"""The stand-in checkpoints in tests/checkpoints are small, as good as their README says, and shaped like the originals.

Parity and the demonstration rest on the committed weights, so these are tested. Training is not repeated here.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

CHECKPOINTS = Path(__file__).parent / "checkpoints"
sys.path.insert(0, str(CHECKPOINTS))  # train.py is a script: its neighbours are plain modules

import train  # noqa: E402
from instruction_text import generate_instructions  # noqa: E402
from measure import (  # noqa: E402
    accuracy,
    load_classifier,
    load_scorer,
    rank_correlation,
    score_instructions,
)
from pair_outliers import smallest_gain_ratio  # noqa: E402
from pair_text import generate_pairs  # noqa: E402

PAIR, BASE, ADAPTER = (CHECKPOINTS / name for name in ("pair-classifier", "complexity-base", "complexity-adapter"))
OUTLIERS = CHECKPOINTS / "pair-classifier-outliers"
MEGABYTE = 1_000_000


def read_rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (CHECKPOINTS / name).read_text(encoding="utf-8").splitlines()]


def read_config(folder: Path, name: str = "config.json") -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / name).read_text(encoding="utf-8"))
    return config


@pytest.fixture(scope="module")
def base_tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(BASE / "tokenizer.json"))


@pytest.mark.parametrize("folder", [PAIR, OUTLIERS, BASE, ADAPTER], ids=lambda folder: folder.name)
def test_a_checkpoint_is_smaller_than_three_megabytes(folder: Path) -> None:
    sizes = [path.stat().st_size for path in folder.iterdir()]
    assert 0 < sum(sizes) < 3 * MEGABYTE


def test_the_committed_held_out_rows_are_what_the_generator_writes() -> None:
    assert read_rows("held_out_pairs.jsonl") == [pair._asdict() for pair in train.held_out_pairs()]
    assert read_rows("held_out_instructions.jsonl") == [row._asdict() for row in train.held_out_instructions()]


def test_no_held_out_row_is_among_the_training_rows() -> None:
    seen_pairs = {pair.text for pair in generate_pairs(4000, seed=7, held_out=False)}
    seen_instructions = {row.text for row in generate_instructions(4000, seed=11, held_out=False)}
    assert not seen_pairs & {row["text"] for row in read_rows("held_out_pairs.jsonl")}
    assert not seen_instructions & {row["text"] for row in read_rows("held_out_instructions.jsonl")}


@pytest.mark.parametrize("folder", [PAIR, OUTLIERS], ids=lambda folder: folder.name)
def test_a_pair_classifier_reaches_its_held_out_accuracy_and_only_by_matching_the_two_texts(folder: Path) -> None:
    pairs = train.held_out_pairs()
    labels = [pair.label for pair in pairs]
    model, tokenizer = load_classifier(folder), Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert accuracy(model, tokenizer, [pair[:2] for pair in pairs], labels) >= train.LEAST_ACCURACY
    assert accuracy(model, tokenizer, train.with_strangers(pairs), labels) <= train.MOST_ACCURACY_WITH_STRANGERS


def test_the_pair_classifier_with_outliers_has_large_gains_in_every_layer_and_the_plain_one_has_none() -> None:
    assert smallest_gain_ratio(load_classifier(OUTLIERS)) >= train.LEAST_GAIN_RATIO
    assert smallest_gain_ratio(load_classifier(PAIR)) < 2
    for name in ("config.json", "tokenizer.json"):
        assert (OUTLIERS / name).read_bytes() == (PAIR / name).read_bytes()


def test_the_adapter_reaches_its_held_out_rank_correlation_and_merging_it_keeps_the_scores(
    base_tokenizer: Tokenizer,
) -> None:
    rows = read_rows("held_out_instructions.jsonl")
    texts = [row["text"] for row in rows]
    merged = score_instructions(load_scorer(BASE, ADAPTER, merge=True), base_tokenizer, texts)
    assert rank_correlation(merged, [row["score"] for row in rows]) >= train.LEAST_RANK_CORRELATION
    unmerged = score_instructions(load_scorer(BASE, ADAPTER, merge=False), base_tokenizer, texts[:50])
    assert np.abs(merged[:50] - unmerged).max() < 1e-4


def test_the_adapter_is_pissa_over_a_base_that_is_named_relative_to_it() -> None:
    config = read_config(ADAPTER, "adapter_config.json")
    assert config["init_lora_weights"] == "pissa"
    assert sorted(config["target_modules"]) == ["attn.Wo", "attn.Wqkv", "mlp.Wi", "mlp.Wo"]
    assert config["modules_to_save"] == ["classifier", "score"]
    assert (ADAPTER / config["base_model_name_or_path"]).resolve() == BASE.resolve()


def test_the_held_out_rows_reach_past_the_local_window_and_the_exact_position_buckets(
    base_tokenizer: Tokenizer,
) -> None:
    lengths = [len(base_tokenizer.encode(row["text"]).ids) for row in read_rows("held_out_instructions.jsonl")]
    assert max(lengths) > 10 * read_config(BASE)["local_attention"]
    tokenizer = Tokenizer.from_file(str(PAIR / "tokenizer.json"))
    lengths = [len(tokenizer.encode(row["text"], row["text_pair"]).ids) for row in read_rows("held_out_pairs.jsonl")]
    assert max(lengths) > 8 * read_config(PAIR)["position_buckets"]
