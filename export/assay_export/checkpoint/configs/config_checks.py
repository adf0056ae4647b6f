"""Checks of config.json for authored graphs: a value that no graph supports is refused by name."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from assay.bundle.manifest import MAX_LENGTH
from assay_export.errors import UnsupportedConfigError

__all__ = ["expect", "positive_number", "refuse_absurd_sizes", "whole_number"]

_MAX_LAYERS = 1_000
# Each is a dimension of some tensor, or not larger than one.
_WIDTHS = (
    *("vocab_size", "hidden_size", "intermediate_size", "embedding_size", "pooler_hidden_size", "type_vocab_size"),
    *("num_labels", "num_attention_heads", "d_model", "d_inner", "d_ff", "dim", "hidden_dim", "n_embd"),
)
_LAYERS = ("num_hidden_layers", "n_layers", "n_layer", "num_layers")
_LENGTHS = (
    *("max_position_embeddings", "n_positions", "max_relative_positions", "position_buckets", "local_attention"),
    "sliding_window",
)


def refuse_absurd_sizes(config: Mapping[str, Any], widest: int) -> None:
    """Refuse sizes for which a model would be allocated that the weights cannot belong to.

    Args:
        config: config.json, of any architecture.
        widest: The largest dimension of any tensor of the checkpoint.

    Raises:
        UnsupportedConfigError: A size is larger than any tensor, or there are more layers or positions than any model
            has. The message names the key and the value.
    """
    for keys, most, why in (
        (_WIDTHS, widest, "the largest dimension of a tensor in the weight files"),
        (_LAYERS, _MAX_LAYERS, "the most layers of a model"),
        (_LENGTHS, MAX_LENGTH, "the most tokens that a bundle reads"),
    ):
        for key in keys:
            value = config.get(key)
            if isinstance(value, int | float) and not value <= most:
                found = f"{value:,}" if abs(value) < 10**15 else "a very large number"
                raise UnsupportedConfigError(
                    f"config.json: {key} = {found}, expected at most {most:,}, {why}; download or save the checkpoint "
                    "again"
                )


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
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= sys.float_info.max:
        raise UnsupportedConfigError(_unlike(config, architecture, key, "numbers above zero"))
    return float(value)


def _unlike(config: Mapping[str, Any], architecture: str, key: str, supported: str) -> str:
    found = f"{key} = {config[key]!r} is not supported" if key in config else f"{key} is missing, not supported"
    return f"config.json: {found} by the authored {architecture} graph (supported: {supported})"
