"""Keep a model usable in a forked child, which has the parent's session without its threads.

In the child, a run of the parent's session would wait forever for threads that do not exist, and so would its
destructor, which joins them. The child therefore never touches that session, and creates another one on first use.
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
    """An engine that a forked child replaces on first use."""

    def __init__(self, engine: Engine, make: Callable[[], Engine]) -> None:
        self._engine: Engine | None = engine
        self._make = make
        self._is_open = True
        self._making = threading.Lock()
        _ALIVE.add(self)

    @property
    def is_open(self) -> bool:
        """Whether close() was not called yet."""
        return self._is_open

    def get(self) -> Engine:
        """Return the engine of this process. Raises AssayError after close(), and what creating an engine raises."""
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
        """Release the engine. Runs in progress keep it until they end."""
        self._is_open = False
        with self._making:  # an engine that is being created would otherwise be stored afterwards
            self._engine = None

    def leave_to_parent(self) -> None:
        """Neither run nor destroy the engine of the parent. To be called in the child of a fork."""
        if self._engine is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._engine))
        self._engine = None
        self._making = threading.Lock()  # another thread of the parent may hold it


_ALIVE: "weakref.WeakSet[ForkedEngine]" = weakref.WeakSet()


def _after_fork() -> None:
    for engine in list(_ALIVE):
        engine.leave_to_parent()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_after_fork)
