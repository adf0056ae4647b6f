"""The Python that a peer runs in: the one of the suite, or an environment of the peer's own.

Packages whose pins do not fit this project's are installed by `make bench-peers` into environments under
build/peers. The suite starts such a peer's process with that environment's Python, and reads its versions from there.
"""

import importlib.metadata
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks import ROOT

__all__ = ["HERE", "Environment", "find_environment"]


@dataclass(frozen=True)
class Environment:
    """A Python with its packages: that of this process, or the one in `folder`."""

    folder: Path | None = None

    @property
    def python(self) -> str:
        """The interpreter. It need not exist."""
        return sys.executable if self.folder is None else str(self.folder / "bin" / "python")

    @property
    def search_path(self) -> list[str] | None:
        """Where its distributions are installed; None for those of this process."""
        if self.folder is None:
            return None
        return [str(path) for path in sorted(self.folder.glob("lib/python3.*/site-packages"))]

    def find(self, name: str) -> importlib.metadata.Distribution | None:
        """Find a distribution that is installed there."""
        path = sys.path if self.search_path is None else self.search_path
        return next(iter(importlib.metadata.distributions(name=name, path=path)), None)

    def make_variables(self) -> dict[str, str]:
        """Return the environment variables of a process there, which imports this repository's benchmarks.

        A process of this Python imports what this process imports. Another one gets only the repository's sources.
        """
        sources = [str(ROOT / "runtime"), str(ROOT / "export")]
        path = [str(ROOT), *(sys.path if self.folder is None else sources)]
        return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


HERE = Environment()


def find_environment(name: str, folder: str) -> Environment:
    """Return the environment `name` in `folder`, or this process's if the name is empty."""
    return Environment(Path(folder).resolve() / name) if name else HERE
