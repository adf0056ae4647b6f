"""Inert classes that stand for the names in a pickle: they keep the state of an object, and nothing that acts."""

from typing import Any

__all__ = ["Dictionary", "Mention", "Stored"]


class Stored:
    """An object of the file: the state that it was saved with, and nothing that acts."""

    state: dict[str, Any]

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, dict):
            raise ValueError(f"the state of a {type(self).__name__} is a {type(state).__name__}, expected a dictionary")
        self.state = state


class Mention(Stored):
    """An object of which nothing is read."""

    def __init__(self, *_: object) -> None:
        pass


class Dictionary(Stored, dict[Any, Any]):
    """An OrderedDict."""
