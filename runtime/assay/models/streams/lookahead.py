"""Makes the next item of an iterator while the current one is in use."""

from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["look_ahead"]

T = TypeVar("T")
_END = object()


def look_ahead(items: Iterable[T]) -> Generator[T, None, None]:
    """Yield the same items in the same order; a thread makes each one while the one before it is in use.

    Raises what the iterable raises, where its item would have come. Closing the generator early waits for nothing.
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
