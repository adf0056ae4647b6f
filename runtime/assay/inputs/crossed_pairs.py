"""Every text of one list paired with every text of another: each text is encoded once, not once per pair.

A tokenizer encodes the two texts of a pair apart and puts special tokens before, between and after them, whatever the
texts are. The places of these tokens are read off one pair; the others are put together from the tokens of their texts.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from assay.inputs.tokenization import BundleTokenizer, Ids, Tokens, longest_first

__all__ = ["CrossedPairs"]

_PROBE = ("a", "a")


class _Frame(NamedTuple):
    """The special tokens before, between and after the texts of a pair, and the type ids of the two texts."""

    before: Tokens
    between: Tokens
    after: Tokens
    types: tuple[int, int]


class CrossedPairs:
    """Encodes pairs whose second texts are known in advance."""

    def __init__(self, tokenizer: BundleTokenizer, seconds: Sequence[str]) -> None:
        """Encode `seconds`, texts that assay.inputs.validation accepted. `tokenizer` is that of a bundle of pairs."""
        self._tokenizer = tokenizer
        self._seconds = seconds
        self._frame = _find_frame(tokenizer)
        self._second_ids = [] if self._frame is None else list(tokenizer.encode_texts(seconds))

    def encode(self, firsts: Sequence[str], truncate: bool, start: int) -> list[Tokens]:
        """Return the tokens of the first of `firsts` with each second text, then those of the next, and so on.

        They are what BundleTokenizer.encode returns for these pairs, and so are the errors.

        Args:
            firsts: Texts that assay.inputs.validation accepted.
            truncate: Truncate pairs that the bundle would refuse as too long.
            start: The index of the first pair in the caller's batch.

        Raises:
            InputError: A pair is too long, or has no tokens.
        """
        if self._frame is None:
            pairs = [(first, second) for first in firsts for second in self._seconds]
            return self._tokenizer.encode(pairs, truncate, start)
        tokens: list[Tokens] = []
        for first, first_ids in zip(firsts, self._tokenizer.encode_texts(firsts), strict=True):
            for second, second_ids in zip(self._seconds, self._second_ids, strict=True):
                index = start + len(tokens)
                if second:
                    tokens.append(self._join(self._frame, first_ids, second_ids, truncate, index))
                else:  # is encoded as its first text alone
                    tokens += self._tokenizer.encode([(first, second)], truncate, index)
        return tokens

    def _join(self, frame: _Frame, first: Ids, second: Ids, truncate: bool, index: int) -> Tokens:
        special = len(frame.before.ids) + len(frame.between.ids) + len(frame.after.ids)
        self._tokenizer.check_length(special + len(first) + len(second), truncate, index)
        counts = longest_first(len(first), len(second), self._tokenizer.max_length - special)
        texts = [
            Tokens(kept, np.full(len(kept), type_id, dtype=np.int64))
            for kept, type_id in zip(map(self._tokenizer.keep, (first, second), counts), frame.types, strict=True)
        ]
        pieces = (frame.before, texts[0], frame.between, texts[1], frame.after)
        return Tokens(np.concatenate([piece.ids for piece in pieces]), np.concatenate([p.type_ids for p in pieces]))


def _find_frame(tokenizer: BundleTokenizer) -> _Frame | None:
    """Return the special tokens of a pair; None where the texts do not follow each other as two whole runs."""
    tokens, sequence = tokenizer.encode_pair(*_PROBE)
    runs = [np.flatnonzero(sequence == which) for which in (0, 1)]
    types = [set(tokens.type_ids[run].tolist()) for run in runs]
    if any(len(kinds) != 1 for kinds in types):
        return None
    (begin, end), (second_begin, second_end) = ((int(run[0]), int(run[-1]) + 1) for run in runs)
    texts = [ids.tolist() for ids in tokenizer.encode_texts(_PROBE)]
    found = [tokens.ids[begin:end].tolist(), tokens.ids[second_begin:second_end].tolist()]
    if found != texts or end > second_begin:
        return None
    before, between, after = (
        Tokens(tokens.ids[place], tokens.type_ids[place])
        for place in (slice(begin), slice(end, second_begin), slice(second_end, None))
    )
    return _Frame(before, between, after, (types[0].pop(), types[1].pop()))
