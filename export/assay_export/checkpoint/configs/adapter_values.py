"""The kinds of value that the keys of adapter_config.json have: peft checks none, and fails without naming the key."""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from assay.bundle.fields import MAX_NUMBER
from assay_export.errors import CheckpointError

__all__ = ["check_values"]


def check_values(path: Path, settings: Mapping[str, Any]) -> None:
    """Refuse a value of a kind that no adapter has at its key.

    Args:
        path: adapter_config.json.
        settings: Its content.

    Raises:
        CheckpointError: The message names the key, the value and what was expected.
    """
    checks = {**_CHECKS, **(_LORA_CHECKS if settings.get("peft_type") == "LORA" else {})}
    for key, (fits, expected) in checks.items():
        if key in settings and not fits(settings[key]):
            raise CheckpointError(f"{path}: {key} = {settings[key]!r:.80}, expected {expected}: correct the value")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MAX_NUMBER


def _is_flag(value: object) -> bool:
    return value is None or value in (0, 1)


def _is_pattern(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(re.compile(value))
    except (re.error, OverflowError, RecursionError):
        return False


def _are_names(value: object) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(name, str) for name in value))


def _select_names(value: object) -> bool:
    return _are_names(value) or _is_pattern(value)


def _are_layers(value: object) -> bool:
    values: Iterable[object] = value if isinstance(value, list) else [value]
    return value is None or all(map(_is_whole, values))


def _maps_to(fits: Callable[[object], bool]) -> Callable[[object], bool]:
    def check(value: object) -> bool:
        return isinstance(value, dict) and all(_is_pattern(key) and fits(entry) for key, entry in value.items())

    return check


_Check = tuple[Callable[[Any], bool], str]
_CHECKS: Mapping[str, _Check] = {
    "r": (_is_whole, "a whole number"),
    "target_modules": (_select_names, "a list of names, or one regular expression"),
    "exclude_modules": (_select_names, "a list of names, or one regular expression"),
    "modules_to_save": (_are_names, "a list of names"),
    "layers_to_transform": (_are_layers, "a whole number or a list of them"),
    "bias": (lambda value: isinstance(value, str), "a name such as 'none'"),
    "fan_in_fan_out": (_is_flag, "true or false"),
}
# Other kinds have other values at some of these keys, such as the masks in the rank_pattern of AdaLoRA.
_LORA_CHECKS: Mapping[str, _Check] = {
    "lora_alpha": (_is_number, "a number up to 1e30"),
    "rank_pattern": (_maps_to(_is_whole), "an object of regular expressions and whole numbers"),
    "alpha_pattern": (_maps_to(_is_number), "an object of regular expressions and numbers up to 1e30"),
    "use_rslora": (_is_flag, "true or false"),
    "use_dora": (_is_flag, "true or false"),
    "lora_bias": (_is_flag, "true or false"),
}
