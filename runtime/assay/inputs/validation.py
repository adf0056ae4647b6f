"""Checks each text, pair and batch before the tokenizer, which fails for a whole batch without naming the row.

A row is a text (str) or a pair (two str). Nothing is converted or dropped: anything else is an InputError. The number
of tokens is checked later, in assay.inputs.tokenization.
"""

from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any, Literal

from assay.errors import InputError

__all__ = [
    "MAX_CHARACTERS",
    "Kind",
    "Row",
    "check_batch",
    "check_count",
    "check_flag",
    "check_iterable",
    "check_row",
    "check_single",
    "check_text",
    "describe",
    "first_twice",
]

Row = str | tuple[str, str]
Kind = Literal["text", "pair"]
RowCheck = Callable[[object, Kind, str, int | None], Row]

MAX_CHARACTERS = 1_000_000
"""Characters that one row may have, both texts of a pair together.

A text is tokenised whole before it is truncated: 4 MB of text take about 9 s and hundreds of megabytes, to keep 512
tokens. The longest input of a supported model, 8,192 tokens, is about 40,000 characters of prose.
"""

_EXPECTED = {"text": "one text (str)", "pair": "a pair of texts, (text, text_pair)"}


def check_single(text: object, text_pair: object, kind: Kind) -> Row:
    """Return the row of a call for one answer, such as predict(text, text_pair).

    Raises:
        InputError: The arguments are not a text, or not a pair for a bundle of pairs.
    """
    if kind == "text":
        if text_pair is not None:
            raise InputError(f"text_pair is {describe(text_pair)}, expected none: this bundle reads one text")
        if _is_pair(text):
            raise InputError(f"text is {describe(text)}, expected one text (str): this bundle reads no pairs")
        return check_text(text, "text")
    if text_pair is None:
        hint = "; pass its two texts as two arguments" if _is_pair(text) else ""
        raise InputError(f"text is {describe(text)} and text_pair is missing, expected two texts (str){hint}")
    return _check_pair(text, text_pair, "text", "text_pair", None)


def check_batch(batch: object, kind: Kind, check: RowCheck | None = None) -> list[Row]:
    """Return the rows of `batch` in order, each checked.

    Args:
        batch: Any iterable of rows: a list, a tuple, a generator, a one-dimensional numpy array, a pandas Series.
        kind: Whether a row is a text or a pair.
        check: Checks one row; by default check_row.

    Raises:
        InputError: `batch` is not a batch, or a row is wrong; then with the row's index.
    """
    check = check or check_row
    return [check(row, kind, f"row {index}", index) for index, row in enumerate(check_iterable(batch, kind))]


def check_iterable(batch: object, kind: Kind) -> Iterable[object]:
    """Return `batch` if it is an iterable of rows, which are not looked at. Raises InputError for anything else."""
    if isinstance(batch, str | bytes | bytearray | memoryview | Mapping | Set) or batch is None:
        hint = "; put it in a list, or use the method for one text" if isinstance(batch, str) else ""
        raise InputError(
            f"the batch is {describe(batch)}, expected a list in which each item is {_EXPECTED[kind]}{hint}"
        )
    # A DataFrame would yield its column names, and a 2-d array rows that are arrays.
    dimensions = getattr(batch, "ndim", 1)
    if not isinstance(batch, Iterable) or dimensions != 1:
        shape = f" of {dimensions} dimensions" if dimensions != 1 else ""
        raise InputError(
            f"the batch is {describe(batch)}{shape}, expected a list in which each item is {_EXPECTED[kind]}"
        )
    return batch


def check_row(row: object, kind: Kind, where: str, index: int | None) -> Row:
    """Return `row` if it is a text or a pair. The InputError calls it `where` and has `index` as its row."""
    if kind == "text":
        if _is_pair(row):
            raise InputError(f"{where}: found {describe(row)}, expected one text (str), not a pair", row=index)
        return check_text(row, where, index)
    if not isinstance(row, tuple | list):
        hint = "; to pass one pair, put it in a list" if isinstance(row, str) and index == 0 else ""
        raise InputError(f"{where}: found {describe(row)}, expected {_EXPECTED[kind]}{hint}", row=index)
    if len(row) != 2:
        raise InputError(f"{where}: found {describe(row)}, expected exactly two texts", row=index)
    return _check_pair(row[0], row[1], f"{where}, text", f"{where}, text_pair", index)


def check_text(value: object, where: str, index: int | None = None) -> str:
    """Return `value` if it is a str that can be tokenised: at most MAX_CHARACTERS long and free of lone surrogates.

    Empty strings and NUL characters are allowed. A subclass of str (numpy.str_) is returned as a plain str.
    """
    if not isinstance(value, str):
        hint = ", decode it first" if isinstance(value, bytes | bytearray) else ""
        raise InputError(f"{where}: found {describe(value)}, expected a text (str){hint}", row=index)
    if len(value) > MAX_CHARACTERS:
        raise InputError(f"{where}: {len(value):,} characters, expected at most {MAX_CHARACTERS:,}; cut it", row=index)
    text = str.__str__(value)
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            found = f"U+{ord(text[error.start]):04X} at character {error.start}"
            raise InputError(
                f"{where}: found the lone surrogate {found}, expected Unicode text; decode the source with its right "
                "encoding",
                row=index,
            ) from None
    return text


def check_flag(value: object, name: str) -> bool:
    """Return `value` if it is True or False. The strings "no" and "0" are true in Python, but mean the opposite."""
    if not isinstance(value, bool):
        raise InputError(f"{name} is {describe(value)}, expected True or False")
    return value


def check_count(value: object, name: str) -> int | None:
    """Return `value` if it is an integer of at least 1, or None. Raises InputError for anything else."""
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise InputError(f"{name} is {describe(value)}, expected an integer of at least 1, or None")
    return value


def first_twice(names: Iterable[str]) -> str | None:
    """Return the first of `names` that repeats an earlier one, if any."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def describe(value: object) -> str:
    """Return what a value is in a few words, without its own repr, which may be long or fail."""
    name = type(value).__name__
    if value is None or isinstance(value, bool):
        return str(value)
    if type(value) is float or (type(value) is int and abs(value) < 10**15):
        return f"the {name} {value}"
    if isinstance(value, str):
        return f"a str of {len(value):,} characters"
    if isinstance(value, bytes | bytearray | list | tuple | dict | set | frozenset):
        return f"a {name} of {len(value):,}"
    return f"an object of type {name}"


def _check_pair(text: Any, text_pair: Any, where: str, where_pair: str, index: int | None) -> tuple[str, str]:
    pair = check_text(text, where, index), check_text(text_pair, where_pair, index)
    if len(pair[0]) + len(pair[1]) > MAX_CHARACTERS:
        total = f"{len(pair[0]) + len(pair[1]):,}"
        raise InputError(
            f"{where} and text_pair: {total} characters together, expected at most {MAX_CHARACTERS:,}; cut them",
            row=index,
        )
    return pair


def _is_pair(value: object) -> bool:
    return isinstance(value, tuple | list) and len(value) == 2
