"""A model in a forked child: the session's threads stayed with the parent, so the child makes a session of its own.

A run of the parent's session in the child waits for threads that are not there, for ever; so does its destructor, which
joins them. The child therefore keeps the session untouched until it ends.
"""

import ctypes
import os
import threading
import weakref
from collections.abc import Callable

from assay.errors import AssayError
from assay.ort.engine import Engine

__all__ = ["ForkedEngine"]


class ForkedEngine:
    """An engine that is made anew, on first use, in the child of a fork."""

    def __init__(self, engine: Engine, make: Callable[[], Engine]) -> None:
        self._engine: Engine | None = engine
        self._make = make
        self._is_open = True
        self._making = threading.Lock()
        _ALIVE.add(self)

    @property
    def is_open(self) -> bool:
        return self._is_open

    def get(self) -> Engine:
        """The engine of this process. Raises AssayError after close(), and what making one raises."""
        engine = self._engine
        if engine is not None:
            return engine
        with self._making:
            if not self._is_open:
                raise AssayError("this model was closed; load it again with assay.load")
            if self._engine is None:
                self._engine = self._make()
            return self._engine

    def close(self) -> None:
        """Let go of the engine. Runs under way keep theirs until they end."""
        self._is_open = False
        with self._making:  # one that is being made would come afterwards
            self._engine = None

    def leave_to_parent(self) -> None:
        """In the child of a fork: never run, and never destroy, what the parent uses."""
        if self._engine is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._engine))
        self._engine = None
        self._making = threading.Lock()  # another thread of the parent may have held it


_ALIVE: "weakref.WeakSet[ForkedEngine]" = weakref.WeakSet()


def _after_fork() -> None:
    for engine in list(_ALIVE):
        engine.leave_to_parent()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_after_fork)
