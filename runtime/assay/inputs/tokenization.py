"""Turns texts into token ids, exactly as the checkpoint's fast tokenizer does, truncated or refused at max_length.

Truncation is done here and not by the tokenizers library, with the same result. The library keeps every piece that it
cuts off, and for a pair every combination of pieces: 200,000 characters cost it 5 GB. It also returns the whole text,
without an error, where the limit is below the number of special tokens. Nothing is padded: see assay.ort.batching.

A pair whose second text is empty is encoded as its first text alone, [CLS] A [SEP] and not [CLS] A [SEP] [SEP], as in
`tokenizer(text, text_pair)` of transformers (`if text_pair`) and so in the model cards and the pipeline. A batched call
of transformers keeps the second [SEP]; here a row's tokens do not depend on how it is called.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from assay.errors import BundleError, InputError, one_line
from assay.inputs.validation import Kind, Row

__all__ = ["BundleTokenizer", "Ids", "Tokens", "longest_first"]

Ids = npt.NDArray[np.int64]

# Encodings take some hundred bytes per token, so a large batch is encoded in pieces.
_CHARACTERS_PER_CALL = 1_000_000
_ROWS_PER_CALL = 1_024
_SHARED = 4  # neighbouring windows of a long text share a quarter of their tokens


class Tokens(NamedTuple):
    """The `ids` and `type_ids` (0 for the first text, 1 for the second) of one row, each int64 [sequence]."""

    ids: Ids
    type_ids: Ids


class BundleTokenizer:
    """The tokenizer of a bundle. Several threads may use it at once: encoding does not change it.

    Attributes:
        max_length: How many tokens a row may have, special tokens included.
    """

    def __init__(
        self,
        data: bytes,
        kind: Kind,
        max_length: int,
        truncation: Literal["longest_first", "refuse"],
        split_special_tokens: bool = False,
    ) -> None:
        """Parse a tokenizer.

        Args:
            data: The bytes of tokenizer.json.
            kind: Whether a row is a text or a pair.
            max_length: How many tokens a row may have, special tokens included.
            truncation: What happens to a row with more tokens. Which end is cut off is stored in tokenizer.json.
            split_special_tokens: Whether special tokens that a text spells out are read as text.

        Raises:
            BundleError: `data` is not a tokenizer, or `max_length` leaves no room for text.
        """
        with _library_errors("tokenizer.json cannot be parsed by this version of tokenizers"):
            tokenizer = Tokenizer.from_buffer(data)
            keeps_end = (tokenizer.truncation or {}).get("direction") == "left"
            # The lengths stored in the file are those of training; the manifest's apply here.
            tokenizer.no_truncation()
            tokenizer.no_padding()
            tokenizer.encode_special_tokens = split_special_tokens
            special = tokenizer.num_special_tokens_to_add(is_pair=kind == "pair")
        if max_length <= special:
            raise BundleError(
                f"tokenizer.json: {special} special tokens leave no room in a max_length of {max_length}; "
                "export the bundle again"
            )
        self._tokenizer = tokenizer
        self._kind = kind
        self.max_length = max_length
        self._truncation = truncation
        self._keeps_end = keeps_end

    def encode(self, rows: Sequence[Row], truncate: bool, first: int | None) -> list[Tokens]:
        """Return the tokens of each row, special tokens included, at most max_length of them.

        Args:
            rows: Texts or pairs that assay.inputs.validation accepted.
            truncate: Truncate rows that the bundle would refuse as too long.
            first: The index of rows[0] in the caller's batch, or None for a call with one text.

        Raises:
            InputError: A row is too long, or has no tokens.
        """
        return [
            self._limit(encoding, truncate, None if first is None else first + position)
            for position, encoding in enumerate(self._encode(rows))
        ]

    def encode_each(self, rows: Sequence[Row], truncate: bool) -> list[Tokens | InputError]:
        """Return what `encode` does, with the error in the place of a row that has one."""
        tokens: list[Tokens | InputError] = []
        for encoding in self._encode(rows):
            try:
                tokens.append(self._limit(encoding, truncate, None))
            except InputError as error:
                tokens.append(error)
        return tokens

    def encode_windows(self, rows: Sequence[Row], first: int | None) -> Iterator[list[Tokens]]:
        """Yield the overlapping windows of each row, one for a row of at most max_length tokens.

        assay.models.tasks.long_texts says what is in a window.

        Args:
            rows: Texts or pairs that assay.inputs.validation accepted.
            first: The index of rows[0] in the caller's batch, or None for a call with one text.

        Raises:
            InputError: A row has no tokens, or the first text of a long pair takes more than half of the room.
        """
        for position, encoding in enumerate(self._encode(rows)):
            index = None if first is None else first + position
            if len(encoding.ids) <= self.max_length:
                yield [self._limit(encoding, False, index)]
            else:
                yield self._cut_windows(encoding, index)

    def encode_texts(self, texts: Sequence[str]) -> Iterator[Ids]:
        """Yield the token ids of each text alone, without special tokens and whatever their number."""
        for piece in _split(texts):
            with _library_errors("tokenizer.json cannot encode this text"):
                encodings = self._tokenizer.encode_batch_fast(piece, add_special_tokens=False)
            for encoding in encodings:
                yield np.array(encoding.ids, dtype=np.int64)

    def encode_pair(self, first: str, second: str) -> tuple[Tokens, Ids]:
        """Return the tokens of a pair, and which text each is of: 0, 1, or -1 for a special token. Cuts nothing."""
        (encoding,) = self._encode([(first, second)])
        return _tokens_of(encoding), _sequence_of(encoding)

    def check_length(self, count: int, truncate: bool, index: int | None) -> None:
        """Raise InputError where a row of `count` tokens has no answer: it has none, or too many and is not cut."""
        where = "the text" if index is None else f"row {index}"
        if count == 0:
            raise InputError(
                f"{where} has no tokens, expected at least one: this bundle's tokenizer adds no special tokens",
                row=index,
            )
        if count > self.max_length and self._truncation == "refuse" and not truncate:
            raise InputError(
                f"{where} has {count:,} tokens, the model reads {self.max_length:,}: "
                "shorten it or pass truncate=True (--truncate)",
                row=index,
            )

    def keep(self, ids: Ids, count: int) -> Ids:
        """Return `count` of the tokens of a text: the first, or the last if the bundle cuts off the beginning."""
        return ids[len(ids) - count :] if self._keeps_end else ids[:count]

    def spell(self, tokens: Tokens) -> list[str]:
        """Return the vocabulary's entry of each token."""
        return [self._tokenizer.id_to_token(number) for number in tokens.ids.tolist()]

    def encode_to(self, row: Row, lengths: Sequence[int]) -> list[Tokens]:
        """Return the tokens of one row, truncated to each of `lengths`, whatever the bundle's own limit."""
        (encoding,) = self._encode([row])
        return [self._cut(encoding, length) for length in lengths]

    def name_token(self, token_id: int) -> str:
        """Return the token of an id for a message; an id that the vocabulary lacks is "no token"."""
        token: str | None = self._tokenizer.id_to_token(token_id)
        return "no token" if token is None else repr(token)

    def _encode(self, rows: Sequence[Row]) -> Iterator[Any]:
        for piece in _split(rows):
            with _library_errors("tokenizer.json cannot encode this text"):
                encodings = self._tokenizer.encode_batch_fast([_drop_empty_second(row) for row in piece])
            yield from encodings

    def _limit(self, encoding: Any, truncate: bool, index: int | None) -> Tokens:
        self.check_length(len(encoding.ids), truncate, index)
        return self._cut(encoding, self.max_length)

    def _cut_windows(self, encoding: Any, index: int | None) -> list[Tokens]:
        """Return the windows of a row that is longer than max_length."""
        ids, type_ids = _tokens_of(encoding)
        sequence = _sequence_of(encoding)
        places = np.flatnonzero(sequence == int(sequence.max()))  # of the second text, or of the only one
        fixed = len(ids) - len(places)  # tokens of every window: special ones, and the first text of a pair
        room, most = self.max_length - fixed, self.max_length - int((sequence == -1).sum())
        if sequence.max() == 1 and room < max(1, most // 2):
            where = "the row" if index is None else f"row {index}"
            raise InputError(
                f"{where}: the first text of the pair has {int((sequence == 0).sum()):,} tokens, expected at most "
                f"{most - most // 2:,} for windows of the second; shorten the first",
                row=index,
            )
        last = len(places) - room
        windows = []
        for start in (*range(0, last, room - room // _SHARED), last):
            keep = sequence != sequence.max()
            keep[places[start : start + room]] = True
            windows.append(Tokens(ids[keep], type_ids[keep]))
        return windows

    def _cut(self, encoding: Any, max_length: int) -> Tokens:
        tokens = _tokens_of(encoding)
        if len(tokens.ids) <= max_length:
            return tokens
        keep = self._choose_kept(_sequence_of(encoding), max_length)
        return Tokens(tokens.ids[keep], tokens.type_ids[keep])

    def _choose_kept(self, sequence: Ids, max_length: int) -> npt.NDArray[np.bool_]:
        """Return which positions stay: all special tokens, and of each text its share from the end that is kept."""
        is_first, is_second = sequence == 0, sequence == 1
        room = max_length - int((sequence == -1).sum())
        counts = longest_first(int(is_first.sum()), int(is_second.sum()), room) if self._kind == "pair" else (room, 0)
        keep: npt.NDArray[np.bool_] = sequence == -1
        for is_text, count in zip((is_first, is_second), counts, strict=True):
            number = np.cumsum(is_text)  # of each token in its text, from 1
            keep |= is_text & (number > number[-1] - count if self._keeps_end else number <= count)
        return keep


def longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """Return how many tokens each text of a pair keeps when there is `room` for both together.

    The rule is `TruncationStrategy::LongestFirst` (tokenizers, src/utils/truncation.rs): the longer text is cut down to
    the length of the shorter, then both to half each. The odd token goes to the one that was longer, or to the second
    if they are equal.
    """
    if first + second <= room:
        return first, second
    short, long = min(first, second), max(first, second)
    long = max(short, room - short)
    if short + long > room:
        short = room // 2
        long = short + room % 2
    return (long, short) if first > second else (short, long)


def _tokens_of(encoding: Any) -> Tokens:
    return Tokens(np.array(encoding.ids, dtype=np.int64), np.array(encoding.type_ids, dtype=np.int64))


def _sequence_of(encoding: Any) -> Ids:
    """Return which text each token is of: 0 for the first, 1 for the second, -1 for the special tokens around them."""
    return np.array([-1 if number is None else number for number in encoding.sequence_ids], dtype=np.int64)


def _drop_empty_second(row: Row) -> Row:
    return row[0] if isinstance(row, tuple) and row[1] == "" else row


def _split(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Yield runs of at most _ROWS_PER_CALL rows and _CHARACTERS_PER_CALL characters. A longer row is a run."""
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
    """Turn errors of the tokenizers library into a BundleError. Its Rust panics do not derive from Exception."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise BundleError(f"{what} ({one_line(error)}); export the bundle again") from error
