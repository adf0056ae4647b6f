"""Rows of random tokens for the parity gate, in shapes that are known to break graphs.

The rows are built as the tokenizer builds them: its special tokens surround the text, and nowhere else is a special
token. Some models need them, for example those that pool at the end-of-sequence token (BART).
"""

from collections.abc import Collection, Iterator

import numpy as np
from tokenizers import Tokenizer

from assay_export.checkpoint.reference import Feed
from assay_export.graphs.writer import Array

__all__ = ["RandomRows", "count_grid", "make_grid"]

# Lengths next to the powers of two, where buckets, windows and kernels change. The last is for models that read more
# than 1,024 tokens.
LENGTHS = (1, 2, 3, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 512, 1031)
PADDED_LENGTHS = (3, 65, 130, 512)
BATCHED_LENGTHS = (2, 64, 129)
BATCH = 3
# A text that every tokenizer has tokens for.
TEXT = "Rain falls on 2 hills."


class RandomRows:
    """Draws rows of one text with the special tokens of the tokenizer's template around it."""

    def __init__(self, tokenizer: Tokenizer, special_ids: Collection[int]) -> None:
        """Read the template.

        Args:
            tokenizer: The checkpoint's tokenizer.
            special_ids: Ids with a meaning of their own to the model, in addition to the tokenizer's special tokens.
        """
        encoding = tokenizer.encode(TEXT)
        text = [index for index, is_special in enumerate(encoding.special_tokens_mask) if not is_special]
        start, end = (text[0], text[-1] + 1) if text else (len(encoding.ids), len(encoding.ids))
        self.before, self.after = encoding.ids[:start], encoding.ids[end:]
        added = tokenizer.get_added_tokens_decoder()
        special = {*special_ids, *self.before, *self.after, *(id for id, token in added.items() if token.special)}
        vocabulary = set(tokenizer.get_vocab().values())
        self._ordinary = np.array(sorted(vocabulary - special or vocabulary), np.int64)
        self._generator = np.random.default_rng(0)

    @property
    def fewest(self) -> int:
        """The tokens of an empty text."""
        return len(self.before) + len(self.after)

    def draw(self, length: int) -> Array:
        """Draw a row, int64 [length]. One that is too short for all special tokens has the last of them."""
        if length <= self.fewest:
            return np.array([*self.before, *self.after][self.fewest - length :], np.int64)
        ids = self._generator.choice(self._ordinary, length - self.fewest)
        return np.concatenate([self.before, ids, self.after]).astype(np.int64)


def make_grid(rows: RandomRows, max_length: int, pad_token_id: int) -> Iterator[tuple[str, Feed]]:
    """Yield batches of random rows, each with a description such as "batch 3, length 65, padded".

    Args:
        rows: Draws the rows.
        max_length: The longest input in tokens; longer shapes are left out.
        pad_token_id: The token that fills padded rows.
    """

    def feed(length: int, real_lengths: Collection[int]) -> Feed:
        input_ids = np.full((len(real_lengths), length), pad_token_id, np.int64)
        attention_mask = np.zeros_like(input_ids)
        for row, real in enumerate(real_lengths):
            input_ids[row, :real] = rows.draw(real)
            attention_mask[row, :real] = 1
        return {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "token_type_ids": np.zeros_like(input_ids),
        }

    for shape, length, batch, is_padded in _list_shapes(max_length):
        real_lengths = [length] * batch
        if is_padded:
            # A row without all special tokens would be one that no tokenizer makes.
            real_lengths[1:] = [min(length, max(real, rows.fewest)) for real in (length // 2 + 1, 2)]
        yield shape, feed(length, real_lengths)


def count_grid(max_length: int) -> int:
    """Count the batches that `make_grid` will yield."""
    return len(list(_list_shapes(max_length)))


def _list_shapes(max_length: int) -> Iterator[tuple[str, int, int, bool]]:
    """Yield a description, the length, the number of rows, and whether some are padded."""
    for lengths, batch, suffix in ((LENGTHS, 1, ""), (BATCHED_LENGTHS, BATCH, ""), (PADDED_LENGTHS, BATCH, ", padded")):
        for length in lengths:
            if length <= max_length:
                yield f"batch {batch}, length {length}{suffix}", length, batch, bool(suffix)
