"""Packages that only some formats need, imported when such a file is met."""

import importlib
from types import ModuleType

from assay.errors import InstallationError

__all__ = ["optional"]


def optional(module: str, extra: str, what: str) -> ModuleType:
    """The module, imported. Raises InstallationError that names the extra where it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise InstallationError(
            f"{what} needs {package}, which cannot be imported ({error}); to fix it: pip install 'assay[{extra}]'"
        ) from error
