"""Checks of config.json for authored graphs: a value that no graph supports is refused by name."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from assay_export.errors import UnsupportedConfigError

__all__ = ["expect", "positive_number", "whole_number"]


def expect(config: Mapping[str, Any], architecture: str, key: str, supported: Sequence[object], default: object) -> Any:
    """Return config[key], which must be one of `supported`.

    Raises:
        UnsupportedConfigError: The value is not supported; the message names the key, the value and what is.
    """
    value = config.get(key, default)
    if value not in supported:
        known = ", ".join(repr(choice) for choice in supported)
        raise UnsupportedConfigError(_unlike(config, architecture, key, known))
    return value


def whole_number(
    config: Mapping[str, Any], architecture: str, key: str, *, least: int, default: int | None = None
) -> int:
    """Return config[key], which must be a whole number from `least` on. Without a default the key is required.

    Raises:
        UnsupportedConfigError: The value is not supported; the message names the key and the value.
    """
    value = config.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UnsupportedConfigError(_unlike(config, architecture, key, f"whole numbers from {least} on"))
    return value


def positive_number(config: Mapping[str, Any], architecture: str, key: str, default: float) -> float:
    """Return config[key], which must be a number above zero.

    Raises:
        UnsupportedConfigError: The value is not supported; the message names the key and the value.
    """
    value = config.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise UnsupportedConfigError(_unlike(config, architecture, key, "numbers above zero"))
    return float(value)


def _unlike(config: Mapping[str, Any], architecture: str, key: str, supported: str) -> str:
    found = f"{key} = {config[key]!r} is not supported" if key in config else f"{key} is missing, not supported"
    return f"config.json: {found} by the authored {architecture} graph (supported: {supported})"
