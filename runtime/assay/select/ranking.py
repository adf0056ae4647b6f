"""Which rows have the highest scores: a heap of at most `top` rows for every group and bin."""

import heapq
import math
from collections.abc import Hashable
from decimal import Decimal
from typing import Any

from assay.errors import InputError
from assay.inputs.files.fields import locate, look_up
from assay.inputs.validation import describe
from assay.select.rows import Key

__all__ = ["MAX_GROUPS", "Ranking", "read_group", "read_key", "read_score"]

MAX_GROUPS = 100_000
"""The most heaps, so that a column that differs in every row, named by mistake, does not fill the memory."""


class Ranking:
    """The `top` rows of every quota so far. Of equal scores the row that came first counts as higher.

    Memory grows with `top` and the number of quotas, not with the rows that were added.
    """

    def __init__(self, top: int) -> None:
        self._top = top
        self._heaps: dict[Hashable, list[tuple[float, int]]] = {}

    def add(self, row: int, score: float, quota: Hashable, where: str) -> None:
        """Add the row with this number, which is higher than those of all rows before it.

        Raises:
            InputError: It is of more than MAX_GROUPS quotas.
        """
        heap = self._heaps.get(quota)
        if heap is None:
            if len(self._heaps) == MAX_GROUPS:
                raise InputError(
                    f"{where}: is of more than {MAX_GROUPS:,} groups, expected fewer; name a column with less values"
                )
            heap = self._heaps[quota] = []
        entry = (score, -row)
        if len(heap) < self._top:
            heapq.heappush(heap, entry)
        elif entry > heap[0]:
            heapq.heapreplace(heap, entry)

    @property
    def quotas(self) -> int:
        """How many quotas have a row."""
        return len(self._heaps)

    def choose(self) -> list[int]:
        """Return the numbers of the rows with the highest scores, rising."""
        return sorted(-row for heap in self._heaps.values() for _, row in heap)


def read_key(document: dict[str, Any], by: str, group: str | None, where: str) -> Key | InputError:
    """Return the score in the field `by` of a row and its group in the field `group`, or why it has none."""
    try:
        score = read_score(look_up(document, by, where), locate(where, by))
        found = None if group is None else read_group(look_up(document, group, where), locate(where, group))
    except InputError as error:
        return error
    return Key(score, found, where)


def read_score(value: object, where: str) -> float:
    """Return the cell of a score as a float: a number, or in a table its text.

    Raises:
        InputError: It is no number, NaN or infinite.
    """
    number: float | None = None
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
    if number is None:
        raise InputError(f"{where}: found {describe(value)}, expected a number to rank the row by")
    if not math.isfinite(number):
        raise InputError(f"{where}: found {number}, expected a finite number to rank the row by")
    return number


def read_group(value: object, where: str) -> Hashable:
    """Return the cell of a group such that equal cells, and no others, are equal keys.

    Raises:
        InputError: It is neither a text, a number, true or false, nor null.
    """
    if value is None or isinstance(value, str | int | Decimal) or (isinstance(value, float) and value == value):
        return isinstance(value, bool), value
    found = "NaN" if isinstance(value, float) else describe(value)
    raise InputError(f"{where}: found {found}, expected a text, a number, true, false or null to group the row by")
