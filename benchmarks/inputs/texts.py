"""Texts to measure on: rows of an exact length for latency, and rows of realistic lengths for throughput.

Real text is in the optional materials (`../shared/text`, see `benchmarks.inputs.materials`): question and sentence
pairs of GLUE's QNLI, prompts of Arena-Hard and instructions of self-instruct. Without the materials, rows of the same
lengths are put together from the calibration text of this repository.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from assay.inputs.tokenization import BundleTokenizer
from assay.inputs.validation import Kind, Row
from benchmarks.errors import BenchmarkError
from benchmarks.inputs.calibration import read_calibration
from benchmarks.inputs.materials import locate_materials

__all__ = ["PARITY_ROWS", "REQUESTS", "THROUGHPUT_ROWS", "choose_throughput_rows", "count_tokens", "make_rows"]

REQUESTS = 4
"""Distinct requests of a latency cell, asked in turn."""
THROUGHPUT_ROWS = 48
PARITY_ROWS = 32

# Lengths in tokens at 0, 5, ... 100 % of the real sets, by the real tokenizers, special tokens included.
REAL_LENGTHS: dict[Kind, tuple[int, ...]] = {
    "pair": (15, 26, 30, 32, 35, 37, 39, 40, 42, 44, 46, 48, 50, 52, 55, 58, 61, 65, 72, 83, 233),
    "text": (6, 11, 12, 13, 14, 15, 16, 18, 19, 21, 23, 25, 27, 31, 36, 41, 52, 69, 106, 268, 2731),
}


def count_tokens(tokenizer: BundleTokenizer, row: Row) -> int:
    """Count the tokens of a row, truncated to what the model reads."""
    (tokens,) = tokenizer.encode([row], True, None)
    return len(tokens.ids)


def make_rows(tokenizer: BundleTokenizer, kind: Kind, tokens: int, count: int, first: int = 0) -> list[Row]:
    """Make different rows of one length from the calibration text.

    Args:
        tokenizer: The tokenizer that counts.
        kind: Whether a row is a text or a pair.
        tokens: The length, at most what the model reads. A row gets the nearest smaller length if no text hits it.
        count: How many rows to make.
        first: Another number makes other rows.

    Raises:
        BenchmarkError: No row is that short.
    """
    source = [(row,) if isinstance(row, str) else row for row in read_calibration(kind)]
    words = [word for row in source for text in row for word in text.split()]
    rows = []
    for number in range(first, first + count):
        question = source[number % len(source)][0].split()[0] if kind == "pair" else ""
        start = number * 97 % len(words)  # each row starts elsewhere in the text
        rows.append(_make_row(tokenizer, question, islice(cycle(words), start, None), tokens))
    return rows


def _make_row(tokenizer: BundleTokenizer, question: str, words: Iterator[str], tokens: int) -> Row:
    """Join words one after the other, leaving out each one that would make the row too long."""

    def join(taken: Sequence[str]) -> Row:
        return (question, " ".join(taken)) if question else " ".join(taken)

    # Half as many words as tokens almost always fit: the search starts there instead of at one word.
    taken = list(islice(words, max(tokens // 2, 1)))
    while taken and count_tokens(tokenizer, join(taken)) > tokens:
        taken = taken[: len(taken) // 2]
    if not taken:
        raise BenchmarkError(f"cannot make a row of {tokens} tokens: ask for longer ones with --lengths")
    left_out = 0
    while (missing := tokens - count_tokens(tokenizer, join(taken))) > 0 and left_out < 200:
        # Several words at once while far away; one at a time near the end.
        more = list(islice(words, max(missing // 3, 1)))
        if count_tokens(tokenizer, join([*taken, *more])) <= tokens:
            taken += more
        else:
            left_out += 1
    return join(taken)


def read_real_rows(kind: Kind) -> list[Row]:
    """Read every row of the materials' text of this kind; an empty list without the materials."""
    folder = locate_materials() / "text"
    if kind == "pair":
        path = folder / "qnli_dev.tsv"
        if not path.is_file():
            return []
        with path.open(encoding="utf-8", newline="") as file:
            table = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            return [(line["question"], line["sentence"]) for line in table]
    return [
        *_read_field(folder / "arena_hard_v0.1_question.jsonl", "prompt"),
        *_read_field(folder / "self_instruct_user_oriented_instructions.jsonl", "instruction"),
        *_read_field(folder / "self_instruct_seed_tasks.jsonl", "instruction"),
    ]


def _read_field(path: Path, name: str) -> list[Row]:
    if not path.is_file():
        return []
    return [json.loads(line)[name] for line in path.read_text(encoding="utf-8").splitlines()]


def choose_throughput_rows(
    tokenizer: BundleTokenizer, kind: Kind, max_length: int, count: int = THROUGHPUT_ROWS
) -> tuple[list[Row], str]:
    """Choose rows whose lengths are spread like those of the real set, in random order.

    Returns:
        The rows, and a phrase that says where they come from.
    """
    rows = read_real_rows(kind)
    if rows:
        source = "QNLI dev pairs" if kind == "pair" else "Arena-Hard prompts and self-instruct instructions"
        lengths = [len(tokens.ids) for tokens in tokenizer.encode(rows, True, 0)]
        order = np.argsort(lengths, kind="stable")
        chosen = [rows[index] for index in order[_spread(len(rows), count)]]
    else:
        source = "generated, with the lengths of the real sets"
        share = np.linspace(0, 100, len(REAL_LENGTHS[kind]))
        wanted = np.interp(np.linspace(0, 100, count), share, REAL_LENGTHS[kind]).clip(8, max_length).astype(int)
        chosen = [make_rows(tokenizer, kind, int(tokens), 1, index)[0] for index, tokens in enumerate(wanted)]
    shuffled = np.random.default_rng(0).permutation(len(chosen))
    return [chosen[index] for index in shuffled], source


def _spread(total: int, count: int) -> list[int]:
    """Spread `count` indices over `total`, each in the middle of its share, so that none is an extreme."""
    return [int((number + 0.5) * total / count) for number in range(count)]
