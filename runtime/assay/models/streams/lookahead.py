"""Makes the next item of an iterator while the current one is in use."""

from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["look_ahead"]

T = TypeVar("T")


def look_ahead(items: Iterable[T]) -> Generator[T, None, None]:
    """Yield the same items in the same order; a thread makes each one while the one before it is in use.

    Raises what the iterable raises, where its item would have come. Closing the generator early waits for nothing.
    """
    remaining = iter(items)
    worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="assay-ahead")
    try:
        following = worker.submit(_take, remaining)
        while taken := following.result():
            following = worker.submit(_take, remaining)
            yield taken[0]
    finally:
        worker.shutdown(wait=False, cancel_futures=True)


def _take(items: Iterator[T]) -> tuple[T] | None:
    """Return the next item in a tuple, or None at the end."""
    for item in items:
        return (item,)
    return None
