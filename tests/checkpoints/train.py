"""Train the stand-in checkpoints of this folder, write their held-out rows, and print how well they do on them.

    python tests/checkpoints/train.py [pair|outliers|complexity|all]

Everything is generated from seeds; nothing is downloaded. The exit code is 1 if a stand-in misses its target.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import complexity_scorer
import pair_classifier
import pair_outliers
import torch
from instruction_text import Instruction, generate_instructions
from measure import accuracy, load_classifier, load_scorer, rank_correlation, score_instructions
from pair_text import Pair, generate_pairs
from tokenizers import Tokenizer

HERE = Path(__file__).resolve().parent
HELD_OUT_ROWS = 200
HELD_OUT_SEED = 2024
LEAST_ACCURACY = 0.90
LEAST_GAIN_RATIO = 15.0
LEAST_RANK_CORRELATION = 0.90
MOST_ACCURACY_WITH_STRANGERS = 0.50


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the chosen stand-ins on one thread, so that sums are added in a fixed order, and return the exit code."""
    parser = argparse.ArgumentParser(description="Train the stand-in checkpoints on generated text.")
    parser.add_argument("what", nargs="?", choices=("pair", "outliers", "complexity", "all"), default="all")
    what = parser.parse_args(arguments).what
    torch.set_num_threads(1)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    started = time.monotonic()
    good = True
    if what in ("pair", "all"):
        good = make_pair_classifier() and good
    if what in ("outliers", "all"):
        good = make_pair_classifier_with_outliers() and good
    if what in ("complexity", "all"):
        good = make_complexity_scorer() and good
    print(f"took {time.monotonic() - started:.0f} s")
    return 0 if good else 1


def make_pair_classifier() -> bool:
    """Train and save pair-classifier/ and its held-out rows; return whether it reaches its target."""
    folder = HERE / "pair-classifier"
    pair_classifier.build(folder)
    held_out = held_out_pairs()
    write_rows(HERE / "held_out_pairs.jsonl", [pair._asdict() for pair in held_out])
    return is_good_pair_classifier(folder, held_out)


def make_pair_classifier_with_outliers() -> bool:
    """Train pair-classifier-outliers/ from the weights of pair-classifier/; return whether it reaches its target."""
    folder = HERE / "pair-classifier-outliers"
    pair_outliers.build(HERE / "pair-classifier", folder)
    ratio = pair_outliers.smallest_gain_ratio(load_classifier(folder))
    print(f"{folder.name}: smallest outlier gain {ratio:.1f} times the median (at least {LEAST_GAIN_RATIO})")
    return is_good_pair_classifier(folder, held_out_pairs()) and ratio >= LEAST_GAIN_RATIO


def is_good_pair_classifier(folder: Path, held_out: Sequence[Pair]) -> bool:
    """Print how well the classifier in `folder` does on `held_out`; return whether it reaches its targets."""
    model, tokenizer = load_classifier(folder), Tokenizer.from_file(str(folder / "tokenizer.json"))
    labels = [pair.label for pair in held_out]
    right = accuracy(model, tokenizer, [(pair.text, pair.text_pair) for pair in held_out], labels)
    strangers = accuracy(model, tokenizer, with_strangers(held_out), labels)
    print(f"{folder.name}: held-out accuracy {right:.3f} (at least {LEAST_ACCURACY})")
    print(f"{folder.name}: with another row's response {strangers:.3f} (at most {MOST_ACCURACY_WITH_STRANGERS})")
    return right >= LEAST_ACCURACY and strangers <= MOST_ACCURACY_WITH_STRANGERS


def make_complexity_scorer() -> bool:
    """Train and save the complexity base, its adapter and held-out rows; return whether they reach the target."""
    base, adapter = HERE / "complexity-base", HERE / "complexity-adapter"
    complexity_scorer.build(base, adapter)
    held_out = held_out_instructions()
    write_rows(HERE / "held_out_instructions.jsonl", [instruction._asdict() for instruction in held_out])

    model, tokenizer = load_scorer(base, adapter, merge=True), Tokenizer.from_file(str(base / "tokenizer.json"))
    scores = score_instructions(model, tokenizer, [instruction.text for instruction in held_out])
    correlation = rank_correlation(scores, [instruction.score for instruction in held_out])
    print(f"complexity scorer: held-out Spearman {correlation:.3f} (at least {LEAST_RANK_CORRELATION})")
    return correlation >= LEAST_RANK_CORRELATION


def held_out_pairs() -> list[Pair]:
    """Generate the rows that are committed as held_out_pairs.jsonl."""
    return generate_pairs(HELD_OUT_ROWS, seed=HELD_OUT_SEED, held_out=True)


def held_out_instructions() -> list[Instruction]:
    """Generate the rows that are committed as held_out_instructions.jsonl."""
    return generate_instructions(HELD_OUT_ROWS, seed=HELD_OUT_SEED, held_out=True)


def with_strangers(pairs: Sequence[Pair]) -> list[tuple[str, str]]:
    """Pair each objective with the response of the next row of the same label.

    A model that infers the class from one of the two texts keeps its accuracy on these rows. A model that matches the
    texts loses it.
    """
    partners = []
    for index, pair in enumerate(pairs):
        later = [*pairs[index + 1 :], *pairs[:index]]
        partners.append((pair.text, next(other.text_pair for other in later if other.label == pair.label)))
    return partners


def write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write one JSON object per line."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
