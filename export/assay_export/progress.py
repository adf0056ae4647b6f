"""Progress of the long steps, on standard error, so that standard output has the summary alone."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

__all__ = ["Progress", "Silent", "Terminal"]


class Progress(Protocol):
    """The interface that the exporter reports to."""

    def step(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Report a step of unknown length."""

    def bar(self, name: str, total: int) -> contextlib.AbstractContextManager[Callable[[], None]]:
        """Report a step of `total` parts. The function that it returns is called after each part."""


class Silent:
    """Reports nothing: the default for callers from Python."""

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:  # noqa: ARG002
        yield

    @contextlib.contextmanager
    def bar(self, name: str, total: int) -> Iterator[Callable[[], None]]:  # noqa: ARG002
        yield lambda: None


class Terminal:
    """Bars on a terminal, or a line for each step if standard error is a file or a pipe."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        with self._bars(name, None):
            yield

    @contextlib.contextmanager
    def bar(self, name: str, total: int) -> Iterator[Callable[[], None]]:
        with self._bars(name, total) as advance:
            yield advance

    @contextlib.contextmanager
    def _bars(self, name: str, total: int | None) -> Iterator[Callable[[], None]]:
        if not self._console.is_terminal:
            self._console.print(f"{name} ...", highlight=False, soft_wrap=True)
            yield lambda: None
            return
        columns = [SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()]
        if total is not None:
            columns[2:2] = [BarColumn(), MofNCompleteColumn()]
        with Bars(*columns, console=self._console) as bars:
            task = bars.add_task(name, total=total)
            yield lambda: bars.advance(task)
            bars.update(task, total=total or 1, completed=total or 1)
