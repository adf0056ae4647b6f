"""What sentence-transformers' CrossEncoder says about a checkpoint: the activation of its scores, and its longest row.

CrossEncoder 5 writes config_sentence_transformers.json, next to modules.json; version 4 wrote the activation into
config.json, as sentence_transformers.activation_fn; earlier versions as sbert_ce_default_activation_function. The first
of them that is there counts, as in sentence-transformers.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

from assay.bundle.manifest import MAX_LENGTH
from assay_export.checkpoint.files import CheckpointFiles
from assay_export.checkpoint.reading import read_json
from assay_export.errors import CheckpointError

__all__ = ["ACTIVATION_PATHS", "Activation", "read_activation", "read_max_length"]

Activation = Literal["sigmoid", "identity", "softmax"]

ACTIVATION_PATHS: Mapping[Activation, str] = {
    "sigmoid": "torch.nn.modules.activation.Sigmoid",
    "identity": "torch.nn.modules.linear.Identity",
    "softmax": "torch.nn.modules.activation.Softmax",
}
_ACTIVATION = re.compile(r"torch\.nn\.(?:modules\.(?:activation\.|linear\.)?)?(Sigmoid|Identity|Softmax)")
_TRANSFORMER = re.compile(r"sentence_transformers\.(?:\w+\.)*Transformer")
_SETTINGS = "config_sentence_transformers.json"
_MODULE = "sentence_bert_config.json"
# What changes how the one module reads a row, by the names of all versions of sentence-transformers.
_ARGUMENTS = (
    "model_args",
    "model_kwargs",
    "tokenizer_args",
    "processor_kwargs",
    "processing_kwargs",
    "config_args",
    "config_kwargs",
)


def read_activation(files: CheckpointFiles) -> Activation | None:
    """Return the activation that CrossEncoder applies to the logits, None if no file says one.

    Raises:
        CheckpointError: The activation is not known, or the files describe something else than one sequence classifier.
    """
    for folder in _find_folders(files):
        _check_modules(folder / "modules.json")
        found = _read_settings(folder)
        if found is not None:
            return _parse(folder / _SETTINGS, "activation_fn", found)
    config, place = files.config, files.folders[-1] / "config.json"
    own = config.get("sentence_transformers")
    if own is not None and not isinstance(own, dict):
        raise CheckpointError(f"{place}: sentence_transformers = {own!r:.80} is not a JSON object")
    if own and own.get("activation_fn") is not None:
        return _parse(place, "sentence_transformers.activation_fn", own["activation_fn"])
    if config.get("sbert_ce_default_activation_function") is not None:
        key = "sbert_ce_default_activation_function"
        return _parse(place, key, config[key])
    return None


def read_max_length(files: CheckpointFiles) -> int | None:
    """Return the tokens to which CrossEncoder cuts a row, None if its files leave that to the tokenizer.

    Raises:
        CheckpointError: The limit is not a length.
    """
    for folder in _find_folders(files):
        path = folder / _MODULE
        length = read_json(path).get("max_seq_length") if path.is_file() else None
        if length is None:
            continue
        if isinstance(length, bool) or not isinstance(length, int) or not 1 <= length <= MAX_LENGTH:
            raise CheckpointError(
                f"{path}: max_seq_length = {length!r:.80}, expected a whole number up to {MAX_LENGTH:,}"
            )
        return length
    return None


def _find_folders(files: CheckpointFiles) -> list[Path]:
    """Return the folders whose files sentence-transformers reads: without modules.json it reads none of them."""
    folders = files.folders[:1] if files.has_own_head else files.folders
    return [folder for folder in folders if (folder / "modules.json").is_file()]


def _check_modules(path: Path) -> None:
    """Refuse anything but the one module that is a model of transformers."""
    try:
        modules = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(modules, list):
        raise CheckpointError(f"{path}: found {modules!r:.120}, expected a list of modules")
    kinds = [str(entry.get("type") if isinstance(entry, dict) else entry) for entry in modules]
    # Any other class is code of the checkpoint's own, which may answer in any way.
    if len(kinds) != 1 or not _TRANSFORMER.fullmatch(kinds[0]):
        raise CheckpointError(
            f"{path}: found the modules {', '.join(kinds):.300}, expected one Transformer of sentence_transformers: "
            "only sequence classifiers can be exported"
        )
    place = modules[0].get("path")
    if place is not None and (not isinstance(place, str) or Path(place) != Path()):
        raise CheckpointError(
            f"{path}: the model is in the folder {str(place)!r:.80}, expected it next to modules.json: export that "
            "folder"
        )


def _read_settings(folder: Path) -> object:
    """Return the activation in the settings of a CrossEncoder, None if they say none."""
    if (path := folder / _MODULE).is_file():
        _check_module(path, read_json(path))
    path = folder / _SETTINGS
    if not path.is_file():
        return None
    settings = read_json(path)
    kind = settings.get("model_type", "SentenceTransformer")  # sentence-transformers' default
    if kind != "CrossEncoder":
        raise CheckpointError(
            f"{path}: model_type = {kind!r:.80} is not supported (supported: 'CrossEncoder'): only sequence "
            "classifiers can be exported"
        )
    name, prompts = settings.get("default_prompt_name"), settings.get("prompts") or {}
    if name is not None and not (isinstance(prompts, dict) and prompts.get(name) == ""):
        raise CheckpointError(
            f"{path}: default_prompt_name = {name!r:.80} is not supported (supported: none): it puts text before every "
            "row; set it to null and pass rows that contain the text"
        )
    return settings.get("activation_fn")


def _check_module(path: Path, settings: Mapping[str, Any]) -> None:
    """Refuse what makes sentence-transformers read a row in another way than the files of the tokenizer say."""
    task = settings.get("transformer_task")
    if task not in (None, "sequence-classification"):
        raise CheckpointError(
            f"{path}: transformer_task = {task!r:.80} is not supported (supported: 'sequence-classification')"
        )
    modality = settings.get("modality_config")
    text = modality.get("text") if isinstance(modality, dict) else None
    if modality is not None and (not isinstance(text, dict) or text.get("method_output_name") != "logits"):
        raise CheckpointError(f"{path}: modality_config = {modality!r:.120} is not supported (supported: text, logits)")
    for key in ("do_lower_case", *_ARGUMENTS):
        if settings.get(key):
            raise CheckpointError(
                f"{path}: {key} = {settings[key]!r:.80} is not supported (supported: none): write what it changes into "
                "tokenizer_config.json and config.json, and remove it"
            )


def _parse(path: Path, key: str, value: object) -> Activation:
    match = _ACTIVATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise CheckpointError(
            f"{path}: {key} = {value!r:.120} is not an activation that can be exported (supported: torch.nn.Sigmoid, "
            "torch.nn.Identity, torch.nn.Softmax)"
        )
    return cast(Activation, match[1].lower())
