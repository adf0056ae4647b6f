"""The files of a checkpoint, opened once: where they are, which kind they are, and their config.json.

Nothing here loads the model. What is wrong with the files is found before anything is built from them.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from assay.files import read_bounded
from assay_export.checkpoint.config_checks import refuse_absurd_sizes
from assay_export.checkpoint.config_dialects import to_transformers_4
from assay_export.checkpoint.source import Source, resolve
from assay_export.errors import CheckpointError

__all__ = ["CheckpointFiles", "open_files", "read_json", "read_tensor_names", "refuse_bad_files"]

_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_MAX_JSON = 64 << 20  # bytes of a config; it has some kilobytes, this prevents reading all of a wrong file
_CLASSIFIERS = ("classifier.weight", "score.weight", "classifier.out_proj.weight")


@dataclass(frozen=True)
class CheckpointFiles:
    """A checkpoint on this machine: full weights, or an adapter and its base.

    `config` is config.json as it was written, with the labels of the head; `config_4` is the same in the keys of
    transformers 4. `weights` are the safetensors files of `source`, and `base_weights` those of `base`.
    """

    source: Source
    base: Source | None
    config: dict[str, Any]
    config_4: dict[str, Any]
    weights: tuple[Path, ...]
    base_weights: tuple[Path, ...]

    @property
    def folder(self) -> Path:
        """The folder of the checkpoint itself: the full weights or the adapter."""
        return self.source.folder

    @property
    def folders(self) -> tuple[Path, ...]:
        """Every folder that belongs to the checkpoint, its own first."""
        return (self.source.folder, self.base.folder) if self.base else (self.source.folder,)

    @property
    def model_type(self) -> str:
        """config.json's model_type, which transformers knows."""
        return str(self.config_4["model_type"])


def open_files(
    source: str | os.PathLike[str], revision: str | None = None, base: str | os.PathLike[str] | None = None
) -> CheckpointFiles:
    """Find a checkpoint, download it if it is on the Hub, and read its config.json.

    Args:
        source: A preset's name, a Hub id, or a folder with full weights or a PEFT adapter.
        revision: A branch, tag or commit on the Hub.
        base: The base model of an adapter, in place of the one that adapter_config.json names.

    Raises:
        CheckpointError: The checkpoint is not found, its weights are missing or pickled, or a file is unreadable.
        UnsupportedConfigError: config.json has a value that transformers 4 cannot express.
    """
    found = resolve(source, revision)
    if (found.folder / "adapter_config.json").is_file():
        return _open_adapter(found, base)
    if base is not None:
        raise CheckpointError(
            f"--base {base} was given, but {found.folder} contains no adapter_config.json: drop --base"
        )
    weights = _find_weights(found.folder, "model")
    return _translate(found, None, read_json(found.folder / "config.json"), weights, ())


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file of a checkpoint.

    Raises:
        CheckpointError: The file is missing, unreadable, or contains something else.
    """
    try:
        value = json.loads(read_bounded(path, _MAX_JSON))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing: a checkpoint needs it") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} contains a JSON {type(value).__name__}, expected an object")
    return value


def read_tensor_names(files: tuple[Path, ...]) -> set[str]:
    """Return the names of all tensors in safetensors files."""
    names: set[str] = set()
    for file in files:
        with refuse_bad_files(file), safe_open(file, framework="pt") as tensors:
            names.update(tensors.keys())
    return names


@contextlib.contextmanager
def refuse_bad_files(place: Path) -> Iterator[None]:
    """Turn what torch, transformers, peft and safetensors raise over bad files into a CheckpointError of one line."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{place} cannot be loaded: {type(error).__name__}: {reason[:300]}") from error


def _open_adapter(found: Source, base: str | os.PathLike[str] | None) -> CheckpointFiles:
    weights = _find_weights(found.folder, "adapter_model")
    base_source = _resolve_base(found.folder, base)
    base_weights = _find_weights(base_source.folder, "model")
    config = read_json(base_source.folder / "config.json")
    if (found.folder / "config.json").is_file():
        config |= read_json(found.folder / "config.json")
    # The adapter carries the head, so it decides how many labels there are, whatever the base's config.json says.
    labels = _count_labels(weights)
    if len(config.get("id2label") or {}) != labels:
        config["id2label"] = {str(index): f"LABEL_{index}" for index in range(labels)}
        config["label2id"] = {f"LABEL_{index}": index for index in range(labels)}
    config.pop("num_labels", None)
    if labels == 1:
        config["problem_type"] = "regression"
    return _translate(found, base_source, config, weights, base_weights)


def _resolve_base(adapter: Path, base: str | os.PathLike[str] | None) -> Source:
    """Find the base model of the adapter in the folder `adapter`; `base` overrides what the adapter names."""
    path = adapter / "adapter_config.json"
    config = read_json(path)
    if base is not None:
        return resolve(base, None, relative_to=adapter)
    named = config.get("base_model_name_or_path")
    if not named:
        raise CheckpointError(f"{path} names no base model: pass it with --base")
    if not isinstance(named, str):
        raise CheckpointError(f"{path}: base_model_name_or_path = {named!r} is not a string: pass the base with --base")
    revision = config.get("revision")  # peft's key for the revision of the base
    if revision is not None and not isinstance(revision, str):
        raise CheckpointError(
            f"{path}: revision = {revision!r} is not a string: pass the folder of the base with --base"
        )
    return resolve(named, revision or None, relative_to=adapter)


def _translate(
    source: Source,
    base: Source | None,
    config: dict[str, Any],
    weights: tuple[Path, ...],
    base_weights: tuple[Path, ...],
) -> CheckpointFiles:
    """Check config.json and translate it to the keys of transformers 4."""
    _check_config((base or source).folder, config)
    refuse_absurd_sizes(config, _find_widest((*weights, *base_weights)))
    return CheckpointFiles(source, base, config, to_transformers_4(config), weights, base_weights)


def _check_config(folder: Path, config: Mapping[str, Any]) -> None:
    import transformers

    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in transformers.CONFIG_MAPPING:
        raise CheckpointError(f"{folder / 'config.json'}: model_type = {model_type!r} is unknown to transformers")
    if config.get("quantization_config"):
        raise CheckpointError(
            f"{folder}: the checkpoint is quantised (quantization_config); export the original weights"
        )


def _find_weights(folder: Path, stem: str) -> tuple[Path, ...]:
    """Return the safetensors files of a folder: STEM.safetensors or its shards."""
    files = sorted(folder.glob(f"{stem}*.safetensors"))
    if files:
        return tuple(files)
    pickled = sorted(
        path.name for pattern in _PICKLED for path in folder.glob(pattern) if path.name != "training_args.bin"
    )
    if pickled:
        raise CheckpointError(
            f"{folder}: the weights are pickled ({pickled[0]}), and reading a pickle can run code; on a machine where "
            "you trust them, save them again with model.save_pretrained(FOLDER, safe_serialization=True)"
        )
    raise CheckpointError(f"{folder} contains no {stem}.safetensors: it is not a checkpoint with weights")


def _find_widest(files: tuple[Path, ...]) -> int:
    """Return the largest dimension of any tensor in safetensors files."""
    widest = 0
    for file in files:
        with refuse_bad_files(file), safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (safe_open is not a mapping)
                widest = max(widest, *tensors.get_slice(name).get_shape(), 0)
    return widest


def _count_labels(files: tuple[Path, ...]) -> int:
    """Return the number of labels of the classifier that an adapter carries (`modules_to_save`)."""
    for file in files:
        with refuse_bad_files(file), safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (safe_open is not a mapping)
                if name.endswith(_CLASSIFIERS):
                    return int(tensors.get_slice(name).get_shape()[0])
    raise CheckpointError(
        f"{files[0]} contains no classifier: the adapter was saved without its head (modules_to_save); export it again "
        "from the training run, with the head in modules_to_save"
    )
