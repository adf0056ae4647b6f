"""Loads a fine-tuned sequence classifier as the PyTorch reference: full weights, or an adapter merged into its base.

Everything is float32 from here on, whatever precision the checkpoint was stored in.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors import SafetensorError, safe_open

from assay_export.checkpoint.config_dialects import to_transformers_4
from assay_export.checkpoint.reference import Feed, ReferenceModel
from assay_export.checkpoint.source import Source, resolve
from assay_export.errors import CheckpointError

PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
# Merging adds matrices of rounding error; the gate on the graphs is the same.
MERGE_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Checkpoint:
    """A reference model and what its files said of it."""

    reference: ReferenceModel
    config: dict[str, Any]  # config.json as the checkpoint has it, with the head's labels
    config_4: dict[str, Any]  # the same in transformers 4's words
    weights_sha256: str
    merge_delta: float | None  # max |merged - unmerged logit|, None where nothing was merged


@dataclass(frozen=True)
class Location:
    """The folders of a checkpoint: its own and, for an adapter, its base's."""

    folder: Path
    base: Source | None

    @property
    def folders(self) -> tuple[Path, ...]:
        return (self.folder, self.base.folder) if self.base else (self.folder,)


def locate(folder: Path, base: str | None = None) -> Location:
    """Whether `folder` holds full weights or an adapter, and where its base is; `base` overrides what it names.

    Raises:
        CheckpointError: weights missing or pickled, or an adapter without a base.
    """
    if not (folder / "adapter_config.json").is_file():
        if base is not None:
            raise CheckpointError(f"--base {base} was given, but {folder} holds no adapter_config.json: drop --base")
        _weight_files(folder, "model")
        return Location(folder, None)
    _weight_files(folder, "adapter_model")
    adapter = read_json(folder / "adapter_config.json")
    named = base or adapter.get("base_model_name_or_path")
    if not named:
        raise CheckpointError(f"{folder / 'adapter_config.json'} names no base model: pass it with --base")
    if not isinstance(named, str):
        raise CheckpointError(
            f"{folder / 'adapter_config.json'}: base_model_name_or_path = {named!r} is no name: pass it with --base"
        )
    revision = None if base else adapter.get("revision")  # peft's name for the revision of the base
    if revision is not None and not isinstance(revision, str):
        raise CheckpointError(
            f"{folder / 'adapter_config.json'}: revision = {revision!r} is no name: pass the base's folder with --base"
        )
    source = resolve(named, revision or None, beside=folder)
    _weight_files(source.folder, "model")
    return Location(folder, source)


def read_config(location: Location) -> dict[str, Any]:
    """config.json of the checkpoint; an adapter's is its base's, with what a config.json beside the adapter adds."""
    if location.base is None:
        return read_json(location.folder / "config.json")
    config = read_json(location.base.folder / "config.json")
    if (location.folder / "config.json").is_file():
        config |= read_json(location.folder / "config.json")
    return config


def load(location: Location, probes: list[Feed]) -> Checkpoint:
    """Reads the checkpoint; a merged adapter is compared with the unmerged one on `probes` (real inputs).

    Raises:
        CheckpointError: files corrupt or incomplete, or a merge that changes the answers.
        UnsupportedConfigError: config.json says something that cannot be honoured.
    """
    if location.base is not None:
        return _load_adapter(location.folder, location.base, probes)
    config = read_config(location)
    translated = to_transformers_4(config)
    model, missing = _from_pretrained(location.folder, translated)
    _refuse_missing(location.folder, missing)
    weights_sha256 = _sha256(_weight_files(location.folder, "model"))
    return Checkpoint(ReferenceModel(model), config, translated, weights_sha256, None)


def _load_adapter(folder: Path, base: Source, probes: list[Feed]) -> Checkpoint:
    from peft import PeftModel

    weight_files = _weight_files(folder, "adapter_model")
    config = read_config(Location(folder, base))
    labels = _adapter_labels(weight_files)
    if len(config.get("id2label") or {}) != labels:
        config["id2label"] = {str(index): f"LABEL_{index}" for index in range(labels)}
        config["label2id"] = {f"LABEL_{index}": index for index in range(labels)}
    config.pop("num_labels", None)
    if labels == 1:
        config["problem_type"] = "regression"
    translated = to_transformers_4(config)

    model, missing = _from_pretrained(base.folder, translated)
    # peft saves NAME as base_model.model.NAME, without the modules_to_save level that it has in memory.
    in_adapter = {name.removeprefix("base_model.model.") for name in _tensor_names(weight_files)}
    _refuse_missing(base.folder, missing - in_adapter)
    with _one_line(folder):
        adapted = PeftModel.from_pretrained(model, folder, is_trainable=False).float().eval()
        _refuse_partial_adapter(folder, adapted, _tensor_names(weight_files))
        unmerged = ReferenceModel(adapted)
        before = [unmerged.logits(feed) for feed in probes]
        reference = ReferenceModel(adapted.merge_and_unload(safe_merge=True).eval())
    delta = max(float(np.abs(reference.logits(f) - b).max()) for f, b in zip(probes, before, strict=True))
    if not delta <= MERGE_TOLERANCE:
        raise CheckpointError(
            f"merging {folder} into {base.folder} moved a logit by {delta:.1e} (at most {MERGE_TOLERANCE:.0e} is "
            "rounding): this adapter does not merge exactly; export a checkpoint that was merged and saved instead"
        )
    config["architectures"] = [type(reference.module).__name__]
    weights_sha256 = _sha256([*_weight_files(base.folder, "model"), *weight_files])
    return Checkpoint(reference, config, translated, weights_sha256, delta)


def _from_pretrained(folder: Path, config: dict[str, Any]) -> tuple[torch.nn.Module, set[str]]:
    """The model in float32 and eval mode, with the names of parameters that the files do not hold."""
    if config.get("quantization_config"):
        raise CheckpointError(
            f"{folder}: the checkpoint is quantised (quantization_config); export the original weights"
        )
    with _one_line(folder):
        model_type = known_model_type(folder, config)
        keys = {key: value for key, value in config.items() if key not in ("layer_types", "torch_dtype")}
        model_config = transformers.CONFIG_MAPPING[model_type].from_dict(keys)
        attention = "sdpa" if model_type == "modernbert" else "eager"
        if model_type == "modernbert":
            model_config.reference_compile = False
        with _without_transformers_warnings():
            model, info = transformers.AutoModelForSequenceClassification.from_pretrained(
                folder,
                config=model_config,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                attn_implementation=attention,
            )
    if model_type == "modernbert":
        _apply_layer_types(model, config)
    return model.float().eval(), set(info["missing_keys"])


def _apply_layer_types(model: Any, config: dict[str, Any]) -> None:
    """Gives every ModernBERT layer its own kind of attention: transformers 4.57 knows periodic patterns only."""
    from transformers.models.modernbert.modeling_modernbert import ModernBertRotaryEmbedding

    for layer, kind in zip(model.model.layers, config["layer_types"], strict=True):
        is_global = kind == "full_attention"
        half = model.config.local_attention // 2
        layer.attn.local_attention = (-1, -1) if is_global else (half, half)
        rope_config = transformers.ModernBertConfig.from_dict(model.config.to_dict())
        local_theta = model.config.local_rope_theta
        rope_config.global_rope_theta = (
            model.config.global_rope_theta if is_global or local_theta is None else local_theta
        )
        layer.attn.rotary_emb = ModernBertRotaryEmbedding(rope_config)


def known_model_type(folder: Path, config: Mapping[str, Any]) -> str:
    """config.json's model_type, refused where transformers does not know it."""
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in transformers.CONFIG_MAPPING:
        raise CheckpointError(f"{folder / 'config.json'}: model_type = {model_type!r} is unknown to transformers")
    return model_type


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of the checkpoint."""
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing: a checkpoint needs it") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds a JSON {type(value).__name__}, expected an object")
    return value


def _weight_files(folder: Path, stem: str) -> list[Path]:
    """The safetensors files of a folder: STEM.safetensors or its shards."""
    files = sorted(path for path in folder.glob(f"{stem}*.safetensors"))
    if files:
        return files
    pickled = sorted(
        path.name for pattern in PICKLED for path in folder.glob(pattern) if path.name != "training_args.bin"
    )
    if pickled:
        raise CheckpointError(
            f"{folder}: the weights are pickled ({pickled[0]}), and reading a pickle can run code; re-save them where "
            "you trust them, with model.save_pretrained(FOLDER, safe_serialization=True)"
        )
    raise CheckpointError(f"{folder} holds no {stem}.safetensors: it is not a checkpoint with weights")


def _tensor_names(files: list[Path]) -> set[str]:
    names: set[str] = set()
    for file in files:
        with _one_line(file), safe_open(file, framework="pt") as tensors:
            names.update(tensors.keys())
    return names


def _adapter_labels(files: list[Path]) -> int:
    """The number of labels of the classifier that the adapter carries (`modules_to_save`)."""
    for file in files:
        with _one_line(file), safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (safe_open is no mapping)
                if name.endswith(("classifier.weight", "score.weight", "classifier.out_proj.weight")):
                    return int(tensors.get_slice(name).get_shape()[0])
    raise CheckpointError(
        f"{files[0]} holds no classifier: the adapter was saved without its head (modules_to_save), which only the "
        "training run still has"
    )


def _refuse_missing(folder: Path, missing: set[str]) -> None:
    if missing:
        raise CheckpointError(
            f"{folder}: {len(missing)} parameters are not in the weight files ({_some(missing)}), and would be random; "
            "is this a base model without a fine-tuned head?"
        )


def _refuse_partial_adapter(folder: Path, adapted: Any, saved: set[str]) -> None:
    """peft only warns of weights that it misses, and says nothing of weights that it has no place for."""
    from peft import get_peft_model_state_dict

    needed = set(get_peft_model_state_dict(adapted, save_embedding_layers=False))
    for names, what in (
        (needed - saved, "that adapter_config.json asks for are not in the weight files"),
        (saved - needed - set(adapted.state_dict()), "of the weight files have no place in the model"),
    ):
        if names:
            raise CheckpointError(
                f"{folder}: {len(names)} adapter weights {what} ({_some(names)}): the adapter is incomplete, or of "
                "another base or config"
            )


def _some(names: set[str]) -> str:
    return ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "")


def _sha256(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def _without_transformers_warnings() -> Iterator[None]:
    """It warns of a base's missing head, which the adapter brings; what is really missing is refused afterwards."""
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(before)


@contextlib.contextmanager
def _one_line(place: Path) -> Iterator[None]:
    """Turns what torch, transformers, peft and safetensors raise over bad files into a CheckpointError."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{place} cannot be loaded: {type(error).__name__}: {reason[:300]}") from error
