"""Translation of config.json from the keys of transformers 5 to those of transformers 4.

transformers 5 writes `rope_parameters`, `layer_types` and `dtype` where transformers 4 wrote `global_rope_theta`,
`local_rope_theta`, `global_attn_every_n_layers` and `torch_dtype`. transformers 4.57, which the reference model is
built with, silently takes its defaults where it does not know a key, so the keys are translated before it sees them.
"""

from collections.abc import Mapping
from typing import Any

from assay_export.checkpoint.configs.config_checks import whole_number
from assay_export.errors import UnsupportedConfigError

__all__ = ["to_transformers_4"]

_ATTENTION_TYPES = ("full_attention", "sliding_attention")


def to_transformers_4(config: Mapping[str, Any]) -> dict[str, Any]:
    """Translate config.json to the keys of transformers 4.

    For ModernBERT the result always has `layer_types`, "full_attention" or "sliding_attention" per layer, in addition
    to the older keys. `layer_types` decides: the older keys cannot express a pattern that is not periodic.

    Raises:
        UnsupportedConfigError: A value cannot be expressed in transformers 4, or two keys contradict each other.
    """
    translated = dict(config)
    if "dtype" in translated:
        translated.setdefault("torch_dtype", translated.pop("dtype"))
    if translated.get("model_type") == "modernbert":
        _translate_rope(translated)
        _translate_window(translated)
        _translate_layer_types(translated)
    return translated


def _translate_rope(config: dict[str, Any]) -> None:
    scaling = config.pop("rope_scaling", None)
    if scaling not in (None, {}):
        scaling = _object(scaling, "rope_scaling")
        if scaling.get("rope_type", scaling.get("type")) != "default":
            raise UnsupportedConfigError(f"config.json: rope_scaling = {scaling!r} is not supported (supported: none)")
    parameters = _object(config.pop("rope_parameters", None), "rope_parameters")
    unknown = sorted(set(parameters) - set(_ATTENTION_TYPES))
    if unknown:
        # transformers 5 reads the entries of the two kinds of layer only, and takes its default if one is missing.
        raise UnsupportedConfigError(
            f"config.json: rope_parameters has {unknown[0]!r}, which ModernBERT does not read "
            f"(supported: {', '.join(_ATTENTION_TYPES)})"
        )
    for kind, key in zip(_ATTENTION_TYPES, ("global_rope_theta", "local_rope_theta"), strict=True):
        rope = _object(parameters.get(kind), f"rope_parameters[{kind!r}]")
        rope_type = rope.get("rope_type", "default")
        if rope_type != "default":
            raise UnsupportedConfigError(
                f"config.json: rope_parameters[{kind!r}].rope_type = {rope_type!r} is not supported "
                "(supported: 'default')"
            )
        if "rope_theta" in rope:
            _set(config, key, rope["rope_theta"], f"rope_parameters[{kind!r}].rope_theta")


def _translate_window(config: dict[str, Any]) -> None:
    # transformers 5 stores half of the window: the tokens on each side.
    if config.get("sliding_window") is not None:
        half = whole_number(config, "modernbert", "sliding_window", least=0)
        given = config.get("local_attention")
        if not (isinstance(given, int) and given // 2 == half):
            _set(config, "local_attention", 2 * half, "sliding_window (doubled)")
    config.pop("sliding_window", None)


def _translate_layer_types(config: dict[str, Any]) -> None:
    layers = whole_number(config, "modernbert", "num_hidden_layers", least=1, default=22)  # ModernBertConfig's default
    given = config.get("layer_types")
    period = None
    if config.get("global_attn_every_n_layers") is not None:
        period = whole_number(config, "modernbert", "global_attn_every_n_layers", least=1)
    if given is None:
        config["layer_types"] = _periodic(layers, period or 3)
        return
    if not isinstance(given, list) or len(given) != layers or any(kind not in _ATTENTION_TYPES for kind in given):
        raise UnsupportedConfigError(
            f"config.json: layer_types = {given!r} is not supported "
            f"(supported: {layers} values, one per layer, each of {', '.join(_ATTENTION_TYPES)})"
        )
    if period is not None and _periodic(layers, period) == given:
        return
    # transformers 5 reads layer_types alone, and writes its default of 3 for the older key next to any pattern.
    if period is not None and not str(config.get("transformers_version", "")).startswith("5."):
        raise UnsupportedConfigError(
            f"config.json: global_attn_every_n_layers = {period!r} contradicts layer_types = {given!r}; remove one"
        )
    periods = [n for n in range(1, layers + 1) if _periodic(layers, n) == given]
    config["global_attn_every_n_layers"] = periods[0] if periods else 1


def _periodic(layers: int, period: int) -> list[str]:
    return [_ATTENTION_TYPES[1] if index % period else _ATTENTION_TYPES[0] for index in range(layers)]


def _object(value: Any, key: str) -> dict[str, Any]:
    if not isinstance(value, dict | None):
        raise UnsupportedConfigError(f"config.json: {key} = {value!r} is not supported (supported: a JSON object)")
    return value or {}


def _set(config: dict[str, Any], key: str, value: object, origin: str) -> None:
    if config.get(key, value) != value:
        raise UnsupportedConfigError(
            f"config.json: {key} = {config[key]!r} contradicts {origin} = {value!r}; remove one of the two"
        )
    config[key] = value
