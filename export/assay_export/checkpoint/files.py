"""The files of a checkpoint, opened once: where they are, which kind they are, and their config.json.

Nothing here loads the model. What is wrong with the files is found before anything is built from them.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.control_characters import find_control
from assay_export.checkpoint.configs.adapter_config import ADAPTER_KEYS, check_adapter, describe_head, read_base
from assay_export.checkpoint.configs.config_checks import refuse_absurd_sizes
from assay_export.checkpoint.configs.config_dialects import to_transformers_4
from assay_export.checkpoint.reading import read_json
from assay_export.checkpoint.setfit.sentences import SetFitFiles, is_setfit, read_setfit
from assay_export.checkpoint.source import Source, resolve
from assay_export.checkpoint.weight_files import find_weights, read_shapes
from assay_export.errors import CheckpointError

__all__ = ["CheckpointFiles", "open_files"]

_CLASSIFIERS = ("classifier.weight", "score.weight", "classifier.out_proj.weight")
# What peft saves of embeddings that were resized, trained, or adapted by LoRA or as single tokens.
_EMBEDDINGS = re.compile(
    r".*\.(?:tok_embeddings|word_embeddings|embed_tokens|wte)"
    r"(?:\.token_adapter)?(?:\.base_layer|\.modules_to_save)?\.weight"
)


@dataclass(frozen=True)
class CheckpointFiles:
    """A checkpoint on this machine: full weights, or an adapter and its base.

    `config` is config.json as it was written, with the labels of the head; `config_4` is the same in the keys of
    transformers 4. `weights` are the safetensors files of `source`, and `base_weights` those of `base`. `outputs` is
    the number of logits, by the weights of the classifier if they can be found. `has_own_head` is False for an adapter
    that keeps the head of its base. `setfit` is what SetFit's files say, None for any other checkpoint.
    """

    source: Source
    base: Source | None
    config: dict[str, Any]
    config_4: dict[str, Any]
    weights: tuple[Path, ...]
    base_weights: tuple[Path, ...]
    outputs: int
    has_own_head: bool = True
    setfit: SetFitFiles | None = None

    @property
    def folder(self) -> Path:
        """The folder of the checkpoint itself: the full weights, the adapter, or the encoder of a SetFit model."""
        return self.setfit.encoder if self.setfit else self.source.folder

    @property
    def folders(self) -> tuple[Path, ...]:
        """Every folder that belongs to the checkpoint, its own first."""
        return (self.folder, self.base.folder) if self.base else (self.folder,)

    @property
    def model_type(self) -> str:
        """config.json's model_type, which transformers knows."""
        return str(self.config_4["model_type"])


def open_files(
    source: str | os.PathLike[str], revision: str | None = None, base: str | os.PathLike[str] | None = None
) -> CheckpointFiles:
    """Find a checkpoint, download it if it is on the Hub, and read its config.json.

    Args:
        source: A preset's name, a Hub id, or a folder with full weights, a PEFT adapter or a SetFit model.
        revision: A branch, tag or commit on the Hub.
        base: The base model of an adapter, in place of the one that adapter_config.json names.

    Raises:
        CheckpointError: The checkpoint is not found, is not one of a sequence classifier, its weights are missing or
            pickled, or a file is unreadable.
        UnsupportedConfigError: config.json has a value that transformers 4 cannot express.
    """
    found = resolve(source, revision)
    if control := find_control(found.name):
        raise CheckpointError(f"the name {found.name!r:.80} has the control character {control}: rename the folder")
    setfit = is_setfit(found.folder)
    if (found.folder / "adapter_config.json").is_file() and not setfit:
        return _open_adapter(found, base)
    if base is not None:
        raise CheckpointError(
            f"--base {base} was given, but {found.folder} contains no adapter_config.json: drop --base"
        )
    if setfit:
        return _open_setfit(found)
    weights = find_weights(found.folder, "model")
    path = found.folder / "config.json"
    config = read_json(path)
    _check_config(path, config)
    _check_architecture(path, config)
    shapes = read_shapes(weights)
    refuse_absurd_sizes(config, _find_widest(shapes))
    outputs = _count_outputs(shapes) or _count_configured(config)
    return CheckpointFiles(found, None, config, to_transformers_4(config), weights, (), outputs)


def _open_setfit(found: Source) -> CheckpointFiles:
    setfit = read_setfit(found.folder)
    weights = find_weights(setfit.encoder, "model")
    path = setfit.encoder / "config.json"
    config = read_json(path)
    _check_config(path, config)
    refuse_absurd_sizes({**config, "num_labels": None}, _find_widest(read_shapes(weights)))
    config = {key: value for key, value in config.items() if key not in ("id2label", "label2id", "problem_type")}
    outputs = len(setfit.labels)
    return CheckpointFiles(found, None, config, to_transformers_4(config), weights, (), outputs, setfit=setfit)


def _open_adapter(found: Source, base: str | os.PathLike[str] | None) -> CheckpointFiles:
    path = found.folder / "adapter_config.json"
    settings = read_json(path)
    check_adapter(path, settings)
    weights = find_weights(found.folder, "adapter_model")
    named, revision = (base, None) if base is not None else read_base(path, settings)
    base_source = resolve(named, revision, relative_to=found.folder)
    base_weights = find_weights(base_source.folder, "model")
    base_path = base_source.folder / "config.json"
    base_config = read_json(base_path)
    own_config = read_json(found.folder / "config.json") if (found.folder / "config.json").is_file() else {}
    own_config = {key: value for key, value in own_config.items() if key in ADAPTER_KEYS}
    shapes = read_shapes(weights)
    outputs = _count_outputs(shapes)
    config = {**base_config, **own_config}
    _check_config(base_path, config)
    has_own_head = outputs is not None
    if outputs is None:
        outputs = _count_base_outputs(weights[0], base_path, base_config, _count_outputs(read_shapes(base_weights)))
    else:
        config = describe_head(base_config, own_config, outputs)
    rows = next((shape[0] for name, shape in shapes.items() if _EMBEDDINGS.fullmatch(name)), None)
    config.pop("vocab_size", None)  # one in the adapter's own config.json: only the weights decide
    config |= {"vocab_size": rows} if rows else {k: v for k, v in base_config.items() if k == "vocab_size"}
    refuse_absurd_sizes(config, _find_widest(shapes | read_shapes(base_weights)))
    translated = to_transformers_4(config)
    return CheckpointFiles(found, base_source, config, translated, weights, base_weights, outputs, has_own_head)


def _check_config(path: Path, config: Mapping[str, Any]) -> None:
    import transformers

    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in transformers.CONFIG_MAPPING:
        raise CheckpointError(f"{path}: model_type = {model_type!r} is unknown to transformers")
    if config.get("quantization_config"):
        raise CheckpointError(
            f"{path.parent}: the checkpoint is quantised (quantization_config); export the original weights"
        )


def _check_architecture(path: Path, config: Mapping[str, Any]) -> None:
    """Refuse what is not a sequence classifier: its weights may have the names of one and mean another thing."""
    named, expected = config.get("architectures"), _find_class(path, config)
    if named and (not isinstance(named, list) or expected not in named):
        raise CheckpointError(
            f"{path}: architectures = {named!r:.200}, expected {expected}: only sequence classifiers with "
            "a fine-tuned head can be exported"
        )


def _find_class(path: Path, config: Mapping[str, Any]) -> str:
    """Return the name of transformers' sequence classifier for a model_type."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES as CLASSES

    if config["model_type"] not in CLASSES:
        raise CheckpointError(
            f"{path}: model_type = {config['model_type']!r} has no sequence classifier in transformers"
        )
    return str(CLASSES[config["model_type"]])


def _count_base_outputs(adapter: Path, path: Path, config: Mapping[str, Any], found: int | None) -> int:
    """Return the number of logits of an adapter that keeps the head of its base.

    Args:
        adapter: The weights of the adapter.
        path: config.json of the base.
        config: Its content.
        found: The outputs of the classifier in the weights of the base, None if it has none.
    """
    named = config.get("architectures")
    if (isinstance(named, list) and _find_class(path, config) in named) or (not named and found is not None):
        return found or _count_configured(config)
    raise CheckpointError(
        f"{adapter} contains no classifier: the adapter was saved without its head (modules_to_save), and its base is "
        f"not a sequence classifier ({path}: architectures = {named!r:.200}); save it again from the training run, "
        "with the head in modules_to_save"
    )


def _find_widest(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Return the largest dimension of any tensor."""
    return max((size for shape in shapes.values() for size in shape), default=0)


def _count_outputs(shapes: Mapping[str, tuple[int, ...]]) -> int | None:
    """Return the number of outputs of the classifier, None if no tensor has the name of one."""
    for name, shape in shapes.items():
        if name.removeprefix("base_model.model.") in _CLASSIFIERS and shape:
            return shape[0]
    return None


def _count_configured(config: Mapping[str, Any]) -> int:
    """Return the number of labels in config.json, by default the two of transformers."""
    names, count = config.get("id2label"), config.get("num_labels")
    if isinstance(names, dict) and names:
        return len(names)
    return count if isinstance(count, int) and not isinstance(count, bool) and count > 0 else 2
