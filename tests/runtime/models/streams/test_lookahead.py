import threading
from collections.abc import Iterator

import pytest

from assay.models.streams.lookahead import look_ahead


def test_items_come_in_their_order() -> None:
    assert list(look_ahead(iter(range(5)))) == [0, 1, 2, 3, 4]
    assert list(look_ahead([])) == []


def test_the_next_item_is_made_while_one_is_in_use() -> None:
    made = threading.Event()

    def items() -> Iterator[int]:
        yield 0
        made.set()
        yield 1

    ahead = look_ahead(items())
    assert next(ahead) == 0
    assert made.wait(timeout=30)  # although nobody asked for it yet
    assert list(ahead) == [1]


def test_no_more_than_one_item_is_made_ahead() -> None:
    made = []

    def items() -> Iterator[int]:
        for number in range(10):
            made.append(number)
            yield number

    for number in look_ahead(items()):
        assert made[-1] <= number + 1


def test_an_error_comes_where_its_item_would_have() -> None:
    def items() -> Iterator[int]:
        yield 0
        raise ValueError("the second")

    ahead = look_ahead(items())
    assert next(ahead) == 0
    with pytest.raises(ValueError, match="the second"):
        next(ahead)


def test_giving_up_does_not_wait_for_an_item_that_never_comes() -> None:
    never = threading.Event()

    def items() -> Iterator[int]:
        yield 0
        never.wait(timeout=60)
        yield 1

    ahead = look_ahead(items())
    assert next(ahead) == 0
    ahead.close()
    assert not never.is_set()
    never.set()
