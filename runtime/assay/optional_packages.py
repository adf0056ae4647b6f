"""Packages that only some formats and adapters need, imported when one is met."""

import importlib
from typing import Any

from assay.errors import InstallationError, one_line

__all__ = ["require"]


def require(module: str, install: str, user: str) -> Any:
    """The module, imported for `user`. Raises InstallationError, with what pip is to install, where it cannot be."""
    try:
        return importlib.import_module(module)
    except Exception as error:  # a library that is broken raises anything at all when it is imported
        found = "is not installed" if isinstance(error, ModuleNotFoundError) else "cannot be imported"
        raise InstallationError(
            f"{user} needs {module.partition('.')[0]}, which {found} ({one_line(error)}); to fix it: "
            f"pip install {install}"
        ) from error
