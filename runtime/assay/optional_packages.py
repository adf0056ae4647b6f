"""Import packages when they are first needed, and say how to install those that are missing."""

import importlib
from types import ModuleType
from typing import Any

from assay.errors import InstallationError, one_line

__all__ = ["import_package", "require"]


def require(module: str, install: str, user: str) -> Any:
    """Import a module that only some users need.

    Args:
        module: The dotted name of the module.
        install: What pip has to install for it.
        user: Who needs the module, as the subject of the error message.

    Returns:
        The module.

    Raises:
        InstallationError: The module is missing or broken.
    """
    try:
        return import_package(module)
    except Exception as error:  # a broken library may raise anything when it is imported
        found = "is not installed" if isinstance(error, ModuleNotFoundError) else "cannot be imported"
        raise InstallationError(
            f"{user} needs {module.partition('.')[0]}, which {found} ({one_line(error)}); to fix it: "
            f"pip install {install}"
        ) from error


def import_package(module: str) -> ModuleType:
    """Import `module`. Raises what the import raises, and KeyboardInterrupt where Ctrl-C was the cause.

    Extension modules turn whatever is raised while they are initialised into an ImportError, Ctrl-C included. To the
    user that must not look like a broken installation.
    """
    try:
        return importlib.import_module(module)
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, KeyboardInterrupt):
                raise KeyboardInterrupt from error
            cause = cause.__cause__ or cause.__context__
        raise
