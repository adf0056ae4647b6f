"""What SetFit's and sentence-transformers' files say: where the encoder is, how it pools, and what the labels are."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from assay.bundle.manifest import MAX_LENGTH
from assay.control_characters import find_control
from assay.inputs.validation import first_twice
from assay_export.checkpoint.reading import read_json
from assay_export.checkpoint.setfit.linear_head import LinearHead, read_linear_head
from assay_export.errors import CheckpointError

__all__ = ["HEAD_NAME", "SetFitFiles", "is_setfit", "read_setfit"]

HEAD_NAME = "model_head.pkl"
_LIBRARY = "sentence_transformers."
_MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
# Arguments of the tokenizer and of the model, in the names that versions of sentence-transformers gave them.
_ARGUMENTS = ("tokenizer_args", "processor_kwargs", "processing_kwargs", "config_args", "config_kwargs")


@dataclass(frozen=True)
class SetFitFiles:
    """A SetFit model: an encoder, how its tokens become one embedding, and a linear head over it.

    Attributes:
        encoder: The folder of the encoder: config.json, weights and tokenizer.
        pooling: Whether the embedding is the first token or the mean of all.
        normalized: Whether the embedding is divided by its length.
        max_length: The longest input in tokens, None if the tokenizer says it.
        head: The head.
        labels: The names of its outputs, in order.
        head_file: The file of the head.
    """

    encoder: Path
    pooling: Literal["cls", "mean"]
    normalized: bool
    max_length: int | None
    head: LinearHead
    labels: tuple[str, ...]
    head_file: Path


def is_setfit(folder: Path) -> bool:
    """Whether the folder was saved by SetFit: modules of sentence-transformers with a pickled head."""
    return (folder / HEAD_NAME).is_file() and (folder / "modules.json").is_file()


def read_setfit(folder: Path) -> SetFitFiles:
    """Read everything but the encoder itself.

    Raises:
        CheckpointError: A file is damaged, or says something that no bundle can express. The message names both.
    """
    encoder, pooling, normalized = _read_modules(folder / "modules.json")
    if (encoder / "adapter_config.json").is_file():
        raise CheckpointError(
            f"{encoder}: the encoder is an adapter (adapter_config.json), expected full weights: merge it with "
            "model.model_body[0].auto_model.merge_and_unload() before model.save_pretrained"
        )
    _refuse_prompt(folder / "config_sentence_transformers.json")
    mode, width = _read_pooling(pooling / "config.json")
    path = folder / "config_setfit.json"
    settings = read_json(path) if path.is_file() else {}  # absent before SetFit 1.0
    own = settings.get("normalize_embeddings", False)
    if not isinstance(own, bool):
        raise CheckpointError(f"{path}: normalize_embeddings = {own!r:.80}, expected true or false")
    head = read_linear_head(folder / HEAD_NAME)
    if head.weight.shape[1] != width:
        raise CheckpointError(
            f"{folder / HEAD_NAME} reads embeddings of {head.weight.shape[1]} channels, and the encoder's have {width} "
            f"({pooling / 'config.json'}): they belong to different models"
        )
    labels = _name_labels(path, settings.get("labels"), head)
    length = _read_length(encoder)
    return SetFitFiles(encoder, mode, normalized or own, length, head, labels, folder / HEAD_NAME)


def _read_modules(path: Path) -> tuple[Path, Path, bool]:
    """Return the folders of the encoder and of its pooling, and whether embeddings are normalised."""
    try:
        modules = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON: {error}") from error
    entries = [entry if isinstance(entry, dict) else {} for entry in (modules if isinstance(modules, list) else [{}])]
    kinds = [str(entry.get("type")) for entry in entries]
    names = [kind.rsplit(".", 1)[-1] if kind.startswith(_LIBRARY) else kind for kind in kinds]
    if names not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise CheckpointError(
            f"{path}: found the modules {', '.join(kinds):.300}, expected Transformer and Pooling of "
            "sentence-transformers, with or without Normalize after them"
        )
    encoder, pooling = (_find_folder(path, entry.get("path", "")) for entry in entries[:2])
    return encoder, pooling, len(names) == 3


def _find_folder(path: Path, name: object) -> Path:
    if not isinstance(name, str) or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise CheckpointError(f"{path}: path = {name!r:.80}, expected a folder beside modules.json")
    return path.parent / name


def _read_pooling(path: Path) -> tuple[Literal["cls", "mean"], int]:
    """Return how tokens become one embedding, and its width."""
    settings = read_json(path)
    modes = settings.get("pooling_mode")
    if modes is None:
        modes = [mode for key, mode in _MODES.items() if settings.get(key)] or ["mean"]
    modes = [modes] if isinstance(modes, str) else modes
    if modes not in (["cls"], ["mean"]):
        raise CheckpointError(f"{path}: pooling_mode = {modes!r:.120} is not supported (supported: 'cls', 'mean')")
    width = settings.get("embedding_dimension", settings.get("word_embedding_dimension"))
    if isinstance(width, bool) or not isinstance(width, int):
        raise CheckpointError(f"{path}: embedding_dimension = {width!r:.80}, expected a whole number")
    return modes[0], width


def _read_length(encoder: Path) -> int | None:
    """Return max_seq_length, and refuse what changes how the encoder reads a text."""
    # sentence_bert_config.json; early versions named it after other architectures.
    path = min(encoder.glob("sentence_*_config.json"), default=None)
    if path is None:
        return None
    settings = read_json(path)
    _expect(path, settings, "transformer_task", (None, "feature-extraction"), "'feature-extraction'")
    _expect(path, settings, "do_lower_case", (None, False), "false: the files of the tokenizer say it")
    for key in _ARGUMENTS:
        _expect(path, settings, key, (None, {}), "none")
    modality = settings.get("modality_config")
    text = modality.get("text") if isinstance(modality, dict) else None
    if modality is not None and (not isinstance(text, dict) or text.get("method_output_name") != "last_hidden_state"):
        raise CheckpointError(
            f"{path}: modality_config = {modality!r:.120} is not supported (supported: text, last_hidden_state)"
        )
    length = settings.get("max_seq_length")
    if length is None:
        return None
    if isinstance(length, bool) or not isinstance(length, int) or not 1 <= length <= MAX_LENGTH:
        raise CheckpointError(f"{path}: max_seq_length = {length!r:.80}, expected a whole number up to {MAX_LENGTH:,}")
    return length


def _expect(path: Path, settings: Mapping[str, Any], key: str, supported: tuple[object, ...], known: str) -> None:
    if settings.get(key) not in supported:
        raise CheckpointError(f"{path}: {key} = {settings[key]!r:.80} is not supported (supported: {known})")


def _refuse_prompt(path: Path) -> None:
    """Refuse a prompt that sentence-transformers puts before every text."""
    settings = read_json(path) if path.is_file() else {}
    name, prompts = settings.get("default_prompt_name"), settings.get("prompts") or {}
    if name is not None and not (isinstance(prompts, dict) and prompts.get(name) == ""):
        raise CheckpointError(
            f"{path}: default_prompt_name = {name!r:.80} is not supported (supported: none): it puts text before every "
            "row; set it to null and pass rows that contain the text"
        )


def _name_labels(path: Path, names: object, head: LinearHead) -> tuple[str, ...]:
    """Return the names of the outputs: text that the head was trained on, else SetFit's list at the class's number."""
    classes = head.classes
    if names is None or isinstance(classes[0], str):
        labels = [str(name) for name in classes]
    else:
        numbers = [int(number) for number in classes]
        if not isinstance(names, list) or min(numbers) < 0 or max(numbers) >= len(names):
            raise CheckpointError(
                f"{path}: labels = {names!r:.120}, expected a name for each class of the head ({numbers!s:.80})"
            )
        labels = [str(names[number]) for number in numbers]
    for label in labels:
        if control := find_control(label):
            raise CheckpointError(f"{path}: the label {label!r:.80} has the control character {control}: rename it")
    if "" in labels or (twice := first_twice(labels)) is not None:
        found = "an empty label" if "" in labels else f"the label {twice!r:.80} twice"
        raise CheckpointError(f"{path}: there is {found}, expected a name for each class: rename it")
    return tuple(labels)
