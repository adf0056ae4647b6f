"""Which rows of an input belong to one of N machines. The number of a row decides, so they need not communicate."""

import re
from dataclasses import dataclass

from assay.errors import InputError

__all__ = ["WHOLE", "Shard", "parse_shard"]


@dataclass(frozen=True, slots=True)
class Shard:
    """Shard `index` (from 1) of `count`: the rows r, counted from 0, with r % count == index - 1."""

    index: int
    count: int

    def has(self, row: int) -> bool:
        """Return whether the row with this number, from 0, belongs to this shard."""
        return row % self.count == self.index - 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


WHOLE = Shard(1, 1)


def parse_shard(word: object) -> Shard:
    """Return "I/N" as a Shard. Raises InputError unless 1 <= I <= N."""
    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", word) if isinstance(word, str) else None
    shard = Shard(int(match[1]), int(match[2])) if match else None
    if shard is None or not 1 <= shard.index <= shard.count:
        raise InputError(f"shard is {word!r:.80}, expected I/N with 1 <= I <= N, such as 2/8")
    return shard
