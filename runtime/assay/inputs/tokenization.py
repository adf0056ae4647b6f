"""Texts to token ids, exactly as the checkpoint's fast tokenizer makes them, cut or refused at the model's length.

The truncation is done here and not by the tokenizers library, with the same result. The library's own keeps every piece
that it cuts off, and for a pair every combination of pieces: 200,000 characters cost it 5 GB. It also returns the whole
text, in silence, where the limit is below the number of special tokens. There is no padding: see model.py.

A pair whose second text is empty is encoded as its first text alone, [CLS] A [SEP] and not [CLS] A [SEP] [SEP]: so does
`tokenizer(text, text_pair)` of transformers (`if text_pair`), and with it the models' cards and the pipeline.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from assay.errors import BundleError, InputError, one_line
from assay.inputs.validation import Kind, Row

__all__ = ["BundleTokenizer", "Tokens", "longest_first"]

Ids = npt.NDArray[np.int64]

# Encodings hold some hundred bytes per token, so a large batch is encoded in pieces.
_CHARACTERS_PER_CALL = 1_000_000
_ROWS_PER_CALL = 1_024


class Tokens(NamedTuple):
    """One row's `ids` and `type_ids` (0 for the first text, 1 for the second), each int64 [sequence]."""

    ids: Ids
    type_ids: Ids


class BundleTokenizer:
    """The tokenizer of a bundle. Safe to use from several threads: encoding changes nothing in it."""

    def __init__(
        self, data: bytes, kind: Kind, max_length: int, truncation: Literal["longest_first", "refuse"]
    ) -> None:
        """Parse `data`, the bytes of tokenizer.json; rows of more than `max_length` tokens are cut or refused.

        Raises BundleError where `data` is no tokenizer, or `max_length` leaves no room beside the special tokens.
        """
        with _library_errors("tokenizer.json cannot be parsed by this version of tokenizers"):
            tokenizer = Tokenizer.from_buffer(data)
            direction = (tokenizer.truncation or {}).get("direction", "right")
            # The lengths stored in the file are those of training; what applies here is the manifest's.
            tokenizer.no_truncation()
            tokenizer.no_padding()
            special = tokenizer.num_special_tokens_to_add(is_pair=kind == "pair")
        if direction != "right":
            raise BundleError(
                f"tokenizer.json: truncates on the {direction}, this version of assay cuts the right end only"
            )
        if max_length <= special:
            raise BundleError(
                f"tokenizer.json: {special} special tokens leave no room in a max_length of {max_length}; "
                "export the bundle again"
            )
        self._tokenizer = tokenizer
        self._kind = kind
        self._max_length = max_length
        self._truncation = truncation

    def encode(self, rows: Sequence[Row], truncate: bool, first: int | None) -> list[Tokens]:
        """The tokens of each row, special tokens included, at most max_length of them.

        `rows` have passed validation.py. `first` is the index of rows[0] in the caller's batch, or None where the call
        is for one text. Raises InputError for a row that is too long where the bundle refuses and `truncate` is false.
        """
        return [
            self._limited(encoding, truncate, None if first is None else first + position)
            for position, encoding in enumerate(self._encodings(rows))
        ]

    def encode_each(self, rows: Sequence[Row], truncate: bool) -> list[Tokens | InputError]:
        """As `encode`, with the error in the place of a row that has one."""
        tokens: list[Tokens | InputError] = []
        for encoding in self._encodings(rows):
            try:
                tokens.append(self._limited(encoding, truncate, None))
            except InputError as error:
                tokens.append(error)
        return tokens

    def _encodings(self, rows: Sequence[Row]) -> Iterator[Any]:
        for piece in _pieces(rows):
            with _library_errors("tokenizer.json cannot encode this text"):
                encodings = self._tokenizer.encode_batch_fast([_as_transformers(row) for row in piece])
            yield from encodings

    def _limited(self, encoding: Any, truncate: bool, index: int | None) -> Tokens:
        where = "the text" if index is None else f"row {index}"
        ids = np.array(encoding.ids, dtype=np.int64)
        type_ids = np.array(encoding.type_ids, dtype=np.int64)
        if len(ids) == 0:
            raise InputError(
                f"{where} has no tokens, expected one at least: this bundle's tokenizer adds no special tokens",
                row=index,
            )
        if len(ids) <= self._max_length:
            return Tokens(ids, type_ids)
        if self._truncation == "refuse" and not truncate:
            raise InputError(
                f"{where} has {len(ids):,} tokens, the model reads {self._max_length:,}: "
                "shorten it or pass truncate=True (--truncate)",
                row=index,
            )
        keep = self._kept(encoding.sequence_ids)
        return Tokens(ids[keep], type_ids[keep])

    def _kept(self, sequence_ids: list[int | None]) -> npt.NDArray[np.bool_]:
        """Which positions stay: all special tokens, and the first tokens of each text up to its share."""
        # 0 for the first text, 1 for the second, -1 for the special tokens around them
        sequence = np.array([-1 if number is None else number for number in sequence_ids])
        is_first, is_second = sequence == 0, sequence == 1
        room = self._max_length - int((sequence == -1).sum())
        counts = longest_first(int(is_first.sum()), int(is_second.sum()), room) if self._kind == "pair" else (room, 0)
        keep: npt.NDArray[np.bool_] = sequence == -1
        for is_text, count in zip((is_first, is_second), counts, strict=True):
            keep |= is_text & (np.cumsum(is_text) <= count)
        return keep


def longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens each text of a pair keeps where together they may have `room`.

    Rule of `TruncationStrategy::LongestFirst` (tokenizers, src/utils/truncation.rs): the longer one is cut down to the
    shorter, then both to half each, the odd token going to the one that was longer, or to the second where they are
    equal.
    """
    if first + second <= room:
        return first, second
    short, long = min(first, second), max(first, second)
    long = max(short, room - short)
    if short + long > room:
        short = room // 2
        long = short + room % 2
    return (long, short) if first > second else (short, long)


def _as_transformers(row: Row) -> Row:
    return row[0] if isinstance(row, tuple) and row[1] == "" else row


def _pieces(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """`rows` in runs of at most _ROWS_PER_CALL rows and, a longer single row apart, _CHARACTERS_PER_CALL characters."""
    piece: list[Row] = []
    characters = 0
    for row in rows:
        size = len(row) if isinstance(row, str) else len(row[0]) + len(row[1])
        if piece and (characters + size > _CHARACTERS_PER_CALL or len(piece) == _ROWS_PER_CALL):
            yield piece
            piece, characters = [], 0
        piece.append(row)
        characters += size
    if piece:
        yield piece


@contextmanager
def _library_errors(what: str) -> Iterator[None]:
    """Turn what the tokenizers library raises into a BundleError. Its Rust panics do not derive from Exception."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise BundleError(f"{what} ({one_line(error)}); export the bundle again") from error
