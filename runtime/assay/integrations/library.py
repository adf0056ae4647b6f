"""The library behind an adapter, or an InstallationError that says how to get it."""

import importlib
from typing import Any

from assay.errors import InstallationError, one_line

__all__ = ["require"]


def require(module: str, distribution: str) -> Any:
    """The module, imported. Raises InstallationError where it is absent or cannot be imported."""
    try:
        return importlib.import_module(module)
    except Exception as error:  # a library that is broken raises anything at all when it is imported
        found = "is not installed" if isinstance(error, ModuleNotFoundError) else "cannot be imported"
        raise InstallationError(
            f"{module} {found} ({one_line(error)}); to fix it: pip install {distribution}"
        ) from error
