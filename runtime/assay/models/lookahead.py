"""The next item of an iterator, made while the current one is used."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["one_ahead"]

T = TypeVar("T")
_END = object()


def one_ahead(items: Iterable[T]) -> Iterator[T]:
    """The same items in the same order; a thread of its own makes each one while the one before it is in use.

    Raises what the iterable raises, where its item would have come. Giving up early waits for nothing.
    """
    remaining = iter(items)
    worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="assay-ahead")
    try:
        following = worker.submit(next, remaining, _END)
        while (item := following.result()) is not _END:
            following = worker.submit(next, remaining, _END)
            yield item  # type: ignore[misc]  # mypy sees object: next's default widens the type
    finally:
        worker.shutdown(wait=False, cancel_futures=True)
