"""What an adapter says about itself and its base: which adapters can be merged, and what their head is."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay_export.checkpoint.configs.adapter_values import check_values
from assay_export.errors import CheckpointError

__all__ = ["ADAPTER_KEYS", "MERGEABLE", "check_adapter", "describe_head", "read_base"]

#: The kinds of adapter whose merged weights are compared with the unmerged adapter in the tests.
MERGEABLE = (
    "LORA",
    "ADALORA",
    "IA3",
    "LOHA",
    "LOKR",
    "OFT",
    "BOFT",
    "VERA",
    "HRA",
    "FOURIERFT",
    "RANDLORA",
    "C3A",
    "ROAD",
    "WAVEFT",
    "VBLORA",
)
# They change what the model computes with, not its weights.
_NOT_MERGEABLE = (
    "PROMPT_TUNING",
    "MULTITASK_PROMPT_TUNING",
    "P_TUNING",
    "PREFIX_TUNING",
    "ADAPTION_PROMPT",
    "CPT",
    "CARTRIDGE",
    "POLY",
    "XLORA",
)
_TASKS = (None, "SEQ_CLS", "FEATURE_EXTRACTION")
# Options of LoRA with which the merged model is another one, each with its value where it is off.
_REFUSED_OPTIONS = {"layer_replication": None, "alora_invocation_tokens": None, "arrow_config": None}
# What config.json says about the head of the base, which the head of an adapter replaces.
_HEAD_KEYS = ("problem_type", "sentence_transformers", "sbert_ce_default_activation_function")
#: What is read from an adapter's own config.json. The encoder is that of the base, as in peft.
ADAPTER_KEYS = (*_HEAD_KEYS, "id2label", "label2id", "num_labels")


def check_adapter(path: Path, settings: Mapping[str, Any]) -> None:
    """Refuse an adapter that cannot be merged, or that is not one of a sequence classifier.

    Args:
        path: adapter_config.json.
        settings: Its content.

    Raises:
        CheckpointError: The adapter is of another kind or for another task, or a flag is a string. The message names
            what was found.
    """
    kind = settings.get("peft_type")
    if kind in _NOT_MERGEABLE:
        raise CheckpointError(
            f"{path}: {str(kind).lower().replace('_', ' ')} cannot be merged into the weights (peft_type = {kind!r}); "
            "train with LoRA, or fine-tune the whole model"
        )
    if kind not in MERGEABLE:
        raise CheckpointError(
            f"{path}: peft_type = {kind!r:.80} is not a kind of adapter that can be exported (supported: "
            f"{', '.join(MERGEABLE)}); merge it with peft, save the whole model and export that"
        )
    task = settings.get("task_type")
    if task not in _TASKS:
        raise CheckpointError(
            f"{path}: task_type = {task!r:.80} is not supported (supported: 'SEQ_CLS'): only sequence classifiers can "
            "be exported"
        )
    for name, value in settings.items():
        if isinstance(value, str) and value.lower() in ("true", "false"):  # peft would take either for true
            raise CheckpointError(f"{path}: {name} = {value!r} is a string, expected true or false without quotes")
    check_values(path, settings)
    for name, off in _REFUSED_OPTIONS.items():
        if settings.get(name, off) != off:
            raise CheckpointError(
                f"{path}: {name} = {settings[name]!r:.80} cannot be merged into the weights (supported: {off}); train "
                "with plain LoRA"
            )
    # peft subtracts what it starts with from the base whenever it loads the adapter. This start is drawn at random.
    if str(start := settings.get("init_lora_weights")).startswith("pissa_niter"):
        raise CheckpointError(
            f"{path}: init_lora_weights = {start!r:.80} changes the base by a random decomposition whenever peft loads "
            "the adapter, so its answers differ from load to load; convert it to LoRA when you save it (peft's "
            "path_initial_model_for_weight_conversion), or train with 'pissa'"
        )


def read_base(path: Path, settings: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return the base that adapter_config.json names, and its revision.

    Raises:
        CheckpointError: It names none, or a value is not a string or has lone surrogates.
    """
    named = settings.get("base_model_name_or_path")
    if not named:
        raise CheckpointError(f"{path} names no base model: pass it with --base")
    if not isinstance(named, str):
        raise CheckpointError(f"{path}: base_model_name_or_path = {named!r} is not a string: pass the base with --base")
    revision = settings.get("revision")  # peft's key for the revision of the base
    if revision is not None and not isinstance(revision, str):
        raise CheckpointError(
            f"{path}: revision = {revision!r} is not a string: pass the folder of the base with --base"
        )
    try:
        return os.fsdecode(named.encode("utf-8")), revision or None
    except UnicodeError:
        raise CheckpointError(
            f"{path}: base_model_name_or_path = {named!a} is no path: pass the base with --base"
        ) from None


def describe_head(base: Mapping[str, Any], own: Mapping[str, Any], outputs: int) -> dict[str, Any]:
    """Return config.json for an adapter that carries its own head, with `outputs` outputs.

    Args:
        base: config.json of the base. What it says about the head counts if its head has as many outputs.
        own: config.json of the adapter, empty if it has none.
        outputs: The outputs of the adapter's head, which decide how many labels there are.
    """
    config = {**base, **own}
    if _count_labels(base) != outputs:
        for key in _HEAD_KEYS:
            if key not in own:
                config.pop(key, None)
    names = config.get("id2label")
    if names is None or (isinstance(names, dict | list) and len(names) != outputs):  # head.py refuses other values
        config["id2label"] = {str(index): f"LABEL_{index}" for index in range(outputs)}
        config["label2id"] = {f"LABEL_{index}": index for index in range(outputs)}
    config.pop("num_labels", None)
    has_activation = any(config.get(key) is not None for key in _HEAD_KEYS[1:])
    if outputs == 1 and config.get("problem_type") is None and not has_activation:
        # A full model that transformers trained with one output says so in its config.json; peft saves no config.json.
        config["problem_type"] = "regression"
    return config


def _count_labels(config: Mapping[str, Any]) -> object:
    names = config.get("id2label")
    return len(names) if isinstance(names, dict | list) else config.get("num_labels")
