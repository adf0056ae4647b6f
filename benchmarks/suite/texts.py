"""The texts of a run: requests of exact lengths for latency, and rows with real lengths for throughput.

Real text lies in the optional materials (`../shared/text`, see benchmarks.materials): question and sentence
pairs of GLUE's QNLI, prompts of Arena-Hard and instructions of self-instruct. Where it is absent, rows of the same
lengths are put together from the calibration text of this repository.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from importlib.resources import as_file, files
from itertools import cycle, islice
from pathlib import Path
from typing import Literal

import numpy as np

from assay.inputs.files import read_rows
from assay.inputs.tokenization import BundleTokenizer
from assay.inputs.validation import Row
from benchmarks.int8_peers import CALIBRATION
from benchmarks.materials import materials
from benchmarks.peers import PeerError

Kind = Literal["pair", "text"]
REQUESTS = 4  # distinct requests of a latency cell, asked in turn
THROUGHPUT_ROWS = 48
PARITY_ROWS = 32

# Lengths in tokens at 0, 5, ... 100 % of the real sets, of the real tokenizers, special tokens included.
REAL_LENGTHS: dict[Kind, tuple[int, ...]] = {
    "pair": (15, 26, 30, 32, 35, 37, 39, 40, 42, 44, 46, 48, 50, 52, 55, 58, 61, 65, 72, 83, 233),
    "text": (6, 11, 12, 13, 14, 15, 16, 18, 19, 21, 23, 25, 27, 31, 36, 41, 52, 69, 106, 268, 2731),
}


def length(tokenizer: BundleTokenizer, row: Row) -> int:
    """Tokens of a row, cut to what the model reads."""
    (tokens,) = tokenizer.encode([row], True, None)
    return len(tokens.ids)


def rows_of_length(tokenizer: BundleTokenizer, kind: Kind, tokens: int, count: int, first: int = 0) -> list[Row]:
    """`count` different rows of exactly `tokens` tokens, at most what the model reads, or of the nearest number below
    that the vocabulary allows. With another `first` they are other rows.

    Raises:
        PeerError: no row is that short.
    """
    source = calibration_texts(kind)
    words = [word for row in source for text in row for word in text.split()]
    rows = []
    for number in range(first, first + count):
        question = source[number % len(source)][0].split()[0] if kind == "pair" else ""
        start = number * 97 % len(words)  # anywhere else in the text than the row before
        rows.append(_of_length(tokenizer, question, islice(cycle(words), start, None), tokens))
    return rows


def calibration_texts(kind: Kind) -> list[tuple[str, ...]]:
    """The general English that int8 is calibrated on, written for this repository: rows of one or two texts."""
    with as_file(files("assay_export.texts") / CALIBRATION[kind]) as path:
        return [(row,) if isinstance(row, str) else row for row in read_rows(path, kind)]


def _of_length(tokenizer: BundleTokenizer, question: str, words: Iterator[str], tokens: int) -> Row:
    """Words one after the other, leaving out each that would be too much."""

    def row(text: Sequence[str]) -> Row:
        return (question, " ".join(text)) if question else " ".join(text)

    # Half as many words as tokens fit almost always: the search begins there instead of at one word.
    taken = list(islice(words, max(tokens // 2, 1)))
    while taken and length(tokenizer, row(taken)) > tokens:
        taken = taken[: len(taken) // 2]
    if not taken:
        raise PeerError(f"no row of {tokens} tokens can be made: ask for longer ones with --lengths")
    left_out = 0
    while (missing := tokens - length(tokenizer, row(taken))) > 0 and left_out < 200:
        # Several words at once while far away; one at a time near the end.
        more = list(islice(words, max(missing // 3, 1)))
        if length(tokenizer, row([*taken, *more])) <= tokens:
            taken += more
        else:
            left_out += 1
    return row(taken)


def real_rows(kind: Kind) -> list[Row]:
    """Every row of the materials' text for this kind; none where the materials are absent."""
    folder = materials() / "text"
    if kind == "pair":
        path = folder / "qnli_dev.tsv"
        if not path.is_file():
            return []
        with path.open(encoding="utf-8", newline="") as file:
            table = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            return [(line["question"], line["sentence"]) for line in table]
    return [
        *_field(folder / "arena_hard_v0.1_question.jsonl", "prompt"),
        *_field(folder / "self_instruct_user_oriented_instructions.jsonl", "instruction"),
        *_field(folder / "self_instruct_seed_tasks.jsonl", "instruction"),
    ]


def _field(path: Path, name: str) -> list[Row]:
    if not path.is_file():
        return []
    return [json.loads(line)[name] for line in path.read_text(encoding="utf-8").splitlines()]


def throughput_rows(
    tokenizer: BundleTokenizer, kind: Kind, max_length: int, count: int = THROUGHPUT_ROWS
) -> tuple[list[Row], str]:
    """`count` rows whose lengths are spread as the real set's are, in random order, and where they come from."""
    rows = real_rows(kind)
    if rows:
        source = "QNLI dev pairs" if kind == "pair" else "Arena-Hard prompts and self-instruct instructions"
        lengths = [len(tokens.ids) for tokens in tokenizer.encode(rows, True, 0)]
        order = np.argsort(lengths, kind="stable")
        chosen = [rows[index] for index in order[_evenly(len(rows), count)]]
    else:
        source = "generated, with the lengths of the real sets"
        share = np.linspace(0, 100, len(REAL_LENGTHS[kind]))
        wanted = np.interp(np.linspace(0, 100, count), share, REAL_LENGTHS[kind]).clip(8, max_length).astype(int)
        chosen = [rows_of_length(tokenizer, kind, int(tokens), 1, index)[0] for index, tokens in enumerate(wanted)]
    shuffled = np.random.default_rng(0).permutation(len(chosen))
    return [chosen[index] for index in shuffled], source


def _evenly(total: int, count: int) -> list[int]:
    """`count` indices over `total`, each in the middle of its share: the extremes do not stand for the rest."""
    return [int((number + 0.5) * total / count) for number in range(count)]
