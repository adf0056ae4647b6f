"""Bytes that are nearly valid: a valid file after a few changes."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st

from assay import AssayError

__all__ = ["FUZZ", "attempt", "mutated"]

FUZZ = settings.get_profile("fuzz")

# What parsers stumble over: quotes, ends of lines and of texts, marks, deep nesting, numbers beyond their types.
_PIECES = [
    *(b'"', b'""', b"\n", b"\r", b"\r\n", b"\t", b",", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\\ud800"),
    *(b"NaN", b"Infinity", b"-1", b"1e400", b"true", b"null", b"{}", b"[]", b"9" * 30, b"9" * 5_000, b"{", b"}"),
    *(b"[" * 2_000, b'{"a":' * 2_000, b"x" * 70_000, b"\xe2\x80\xa8", b"\xf0\x9f\x98\x80", b"PAR1", b"\x1f\x8b"),
]
_Change = Callable[[bytes], bytes]
_Result = TypeVar("_Result")


def attempt(call: Callable[[], _Result]) -> _Result | None:
    """Return what `call` returns, or None if it raises an AssayError, whose message must be one line."""
    try:
        return call()
    except AssayError as error:
        message = str(error)
    assert "\n" not in message
    assert len(message) < 5_000
    return None


def mutated(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Return a strategy of `seeds` after up to six changes: bytes replaced, removed, repeated, inserted or cut off."""
    return st.builds(_apply, st.sampled_from(seeds), st.lists(_change(), max_size=6))


def _apply(data: bytes, changes: list[_Change]) -> bytes:
    for change in changes:
        data = change(data)
    return data


def _change() -> st.SearchStrategy[_Change]:
    place = st.floats(0, 1)
    return st.one_of(
        st.builds(_replace, place, st.binary(min_size=1, max_size=4)),
        st.builds(_remove, place, st.integers(1, 40)),
        st.builds(_repeat, place, st.integers(1, 40)),
        st.builds(_insert, place, st.sampled_from(_PIECES)),
        st.builds(_cut, place),
    )


def _replace(place: float, new: bytes) -> _Change:
    return lambda data: data[: int(place * len(data))] + new + data[int(place * len(data)) + len(new) :]


def _remove(place: float, count: int) -> _Change:
    return lambda data: data[: int(place * len(data))] + data[int(place * len(data)) + count :]


def _repeat(place: float, count: int) -> _Change:
    def change(data: bytes) -> bytes:
        start = int(place * len(data))
        return data[:start] + data[start : start + count] * 2 + data[start + count :]

    return change


def _insert(place: float, piece: bytes) -> _Change:
    return lambda data: data[: int(place * len(data))] + piece + data[int(place * len(data)) :]


def _cut(place: float) -> _Change:
    return lambda data: data[: int(place * len(data))]
