"""The PyTorch reference model of a checkpoint: full weights, or an adapter merged into its base.

Everything is float32 from here on, whatever precision the checkpoint was stored in.
"""

import contextlib
import hashlib
import inspect
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from assay_export.checkpoint.files import CheckpointFiles
from assay_export.checkpoint.reading import read_json, refuse_bad_files
from assay_export.checkpoint.reference import Feed, ReferenceModel, refuse_infinite
from assay_export.checkpoint.rounding import FP32_MAX_DELTA, Logits, measure_rounding
from assay_export.checkpoint.setfit.module import SentenceClassifier
from assay_export.checkpoint.setfit.sentences import SetFitFiles
from assay_export.checkpoint.weight_files import read_shapes, read_tensor_names
from assay_export.checkpoint.weights_fit import list_some, refuse_mismatched, refuse_missing, refuse_unused
from assay_export.errors import CheckpointError

__all__ = ["Checkpoint", "load", "silence_transformers"]

# What says how an adapter runs, not what it computes: of peft before 0.3, and one that peft drops too.
_IGNORED_ADAPTER_KEYS = ("merge_weights", "runtime_config")
# What config.json says of labels, layers and precision in ways that transformers does not take, and what changes only
# the form of its answers, a tuple in place of an object, or the memory that they take.
_DROPPED_KEYS = (
    *("layer_types", "torch_dtype", "id2label", "label2id", "num_labels"),
    *("return_dict", "torchscript", "chunk_size_feed_forward"),
)


@dataclass(frozen=True)
class Checkpoint:
    """A reference model and the files that it was loaded from.

    `config` is config.json for the bundle: that of the files, with the architecture that was loaded. `weights_sha256`
    covers every weight file. `merge_delta` is the largest |merged logit - unmerged logit| of an adapter, else None.
    """

    files: CheckpointFiles
    reference: ReferenceModel
    config: dict[str, Any]
    weights_sha256: str
    merge_delta: float | None

    @property
    def config_4(self) -> dict[str, Any]:
        """config.json in the keys of transformers 4."""
        return self.files.config_4


def load(files: CheckpointFiles, probes: Sequence[Feed]) -> Checkpoint:
    """Load a checkpoint as a PyTorch model in float32 and eval mode.

    Args:
        files: The opened checkpoint.
        probes: Real inputs, on which a merged adapter is compared with the unmerged one.

    Raises:
        CheckpointError: Weights are corrupt or missing, or merging the adapter changes the logits.
    """
    if files.base is not None:
        return _load_adapter(files, files.base.folder, probes)
    if files.setfit is not None:
        return _load_setfit(files, files.setfit)
    model, missing, mismatched, unexpected = _build(files.folder, files.config_4, files.outputs)
    refuse_mismatched(files.folder, mismatched, read_shapes(files.weights), model)
    refuse_missing(files.folder, missing, read_tensor_names(files.weights))
    refuse_unused(files.folder, unexpected, model)
    return Checkpoint(files, ReferenceModel(model), files.config, _hash(files.weights), None)


def _load_setfit(files: CheckpointFiles, setfit: SetFitFiles) -> Checkpoint:
    encoder, missing, mismatched, unexpected = _build(files.folder, files.config_4, None)
    refuse_mismatched(files.folder, mismatched, read_shapes(files.weights), encoder)
    # transformers puts a pooler on some encoders, which sentence-transformers does not ask.
    missing = {name for name in missing if not name.startswith("pooler.")}
    refuse_missing(files.folder, missing, read_tensor_names(files.weights))
    refuse_unused(files.folder, unexpected, encoder)
    reference = ReferenceModel(SentenceClassifier(encoder, setfit).eval())
    return Checkpoint(files, reference, files.config, _hash([*files.weights, setfit.head_file]), None)


def _load_adapter(files: CheckpointFiles, base: Path, probes: Sequence[Feed]) -> Checkpoint:
    adapted = _adapt(files, base)
    unmerged = ReferenceModel(adapted)
    with refuse_bad_files(files.folder):
        before = [unmerged.logits(feed) for feed in probes]
        for logits in before:
            refuse_infinite(unmerged, logits, "real text")
        reference = ReferenceModel(adapted.merge_and_unload(safe_merge=True).eval())
    after = [reference.logits(feed) for feed in probes]
    delta = float(np.max([np.abs(a - b).max() for a, b in zip(after, before, strict=True)]))  # NaN if any is
    if not delta <= FP32_MAX_DELTA:
        _check_merge(files, base, delta, list(zip(probes, before, strict=True)))
    config = {**files.config, "architectures": [type(reference.module).__name__]}
    return Checkpoint(files, reference, config, _hash([*files.base_weights, *files.weights]), delta)


def _adapt(files: CheckpointFiles, base: Path) -> Any:
    """Return peft's model of the adapter on its base, in float32 and eval mode."""
    from peft import PeftModel

    original = read_json(base / "config.json").get("vocab_size", files.config_4["vocab_size"])
    config = {**files.config_4, "vocab_size": original}
    # A base that is a classifier itself may have another number of outputs than the head of the adapter.
    model, missing, mismatched, unexpected = _build(base, config, files.outputs)
    # peft saves NAME as base_model.model.NAME, without the modules_to_save level that it has in memory.
    saved = read_tensor_names(files.weights)
    adapter_names = {name.removeprefix("base_model.model.") for name in saved}
    replaced = adapter_names if files.has_own_head else set()
    refuse_mismatched(base, mismatched - replaced, read_shapes(files.base_weights), model)
    refuse_missing(base, missing - adapter_names, read_tensor_names(files.base_weights))
    refuse_unused(base, unexpected, model)
    with refuse_bad_files(files.folder):
        if files.config_4["vocab_size"] != original:  # the adapter carries embeddings of the new size
            model.resize_token_embeddings(files.config_4["vocab_size"], mean_resizing=False)
        settings = _read_adapter_config(files.folder / "adapter_config.json")
        adapted = PeftModel.from_pretrained(model, files.folder, is_trainable=False, config=settings).float().eval()
        _refuse_partial_adapter(files.folder, adapted, saved)
    return adapted


def _check_merge(files: CheckpointFiles, base: Path, delta: float, answers: Sequence[tuple[Feed, Logits]]) -> None:
    """Refuse a merge that moved a logit by `delta`, unless the rounding of the unmerged adapter explains it.

    Args:
        files: The adapter.
        base: The folder of its base.
        delta: The largest |merged logit - unmerged logit|.
        answers: The probes with the logits of the unmerged adapter in float32.
    """
    limit = FP32_MAX_DELTA
    # A module that computes in float32 whatever its weights does not answer in float64.
    with contextlib.suppress(RuntimeError, TypeError, ValueError):
        limit = measure_rounding(ReferenceModel(_adapt(files, base)), answers).limit
    if not delta <= limit:
        raise CheckpointError(
            f"merging {files.folder} into {base} moved a logit by {delta:.1e} (rounding explains at most {limit:.0e}): "
            "this adapter does not merge exactly; export a checkpoint that was merged and saved instead"
        )


def _build(folder: Path, config: Mapping[str, Any], outputs: int | None) -> tuple[Any, set[str], set[str], set[str]]:
    """Load the weights in `folder`.

    Returns the model, the parameters that the files do not contain, those that they have in another shape, and the
    tensors that the model has no place for.
    Without `outputs` the model is the encoder alone.
    """
    model_type = config["model_type"]
    with refuse_bad_files(folder), silence_transformers(), _without_compiler():
        keys = {key: value for key, value in config.items() if key not in _DROPPED_KEYS}
        if outputs is not None:
            keys |= _list_labels(config.get("id2label"), outputs)
        model_config = transformers.CONFIG_MAPPING[model_type].from_dict(keys)
        attention = "sdpa" if model_type == "modernbert" else "eager"
        if model_type == "modernbert":
            model_config.reference_compile = False
        auto = transformers.AutoModel if outputs is None else transformers.AutoModelForSequenceClassification
        model, info = auto.from_pretrained(
            folder,
            config=model_config,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are returned, by name
            attn_implementation=attention,
        )
    if model_type == "modernbert":
        _apply_layer_types(model, config)
    missing, mismatched, unexpected = (set(info[f"{kind}_keys"]) for kind in ("missing", "mismatched", "unexpected"))
    return model.float().eval(), missing, mismatched, unexpected


def _list_labels(names: object, outputs: int) -> dict[str, Any]:
    """Return the labels for transformers. Those that do not fit the classifier are judged in head.py, not here."""
    if isinstance(names, dict) and sorted(names) == sorted(str(index) for index in range(outputs)):
        return {"id2label": names, "label2id": {str(name): int(key) for key, name in names.items()}}
    return {"num_labels": outputs}


def _apply_layer_types(model: Any, config: Mapping[str, Any]) -> None:
    """Set the attention of every ModernBERT layer by `layer_types`: transformers 4.57 knows periodic patterns only."""
    from transformers.models.modernbert.modeling_modernbert import ModernBertRotaryEmbedding

    for layer, kind in zip(model.base_model.layers, config["layer_types"], strict=True):
        is_global = kind == "full_attention"
        half = model.config.local_attention // 2
        layer.attn.local_attention = (-1, -1) if is_global else (half, half)
        rope_config = transformers.ModernBertConfig.from_dict(model.config.to_dict())
        local_theta = model.config.local_rope_theta
        rope_config.global_rope_theta = (
            model.config.global_rope_theta if is_global or local_theta is None else local_theta
        )
        layer.attn.rotary_emb = ModernBertRotaryEmbedding(rope_config)


def _read_adapter_config(path: Path) -> Any:
    """Return peft's configuration of an adapter. Refuse keys that peft does not know, which it would ignore."""
    import peft
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    settings = {key: value for key, value in read_json(path).items() if key not in _IGNORED_ADAPTER_KEYS}
    config_class = PEFT_TYPE_TO_CONFIG_MAPPING[settings["peft_type"]]
    known = inspect.signature(config_class).parameters
    for key in settings.keys() - known:
        if settings[key]:  # what is off, such as null, false or an empty object, cannot change the answers
            raise CheckpointError(
                f"{path}: {key} = {settings[key]!r:.80} is unknown to peft {peft.__version__}, which would ignore it; "
                "install the version of peft that wrote it, or remove the key if the answers do not depend on it"
            )
    return config_class(**config_class.check_kwargs(**{key: settings[key] for key in settings.keys() & known}))


def _refuse_partial_adapter(folder: Path, adapted: Any, saved: set[str]) -> None:
    """Refuse an adapter that does not fit: peft only warns of missing weights, and ignores surplus ones."""
    from peft import get_peft_model_state_dict

    # peft saves embeddings in modules_to_save twice, once by the name that they have in memory.
    saved = {name for name in saved if name.replace(".modules_to_save.", ".") not in saved - {name}}
    needed = set(get_peft_model_state_dict(adapted, save_embedding_layers=False))
    for names, problem in (
        (needed - saved, "adapter_config.json asks for weights that the weight files do not contain"),
        (
            saved - needed - set(adapted.state_dict()),
            "the weight files contain weights that the model has no place for",
        ),
    ):
        if names:
            raise CheckpointError(
                f"{folder}: {problem} ({len(names)}: {list_some(names)}); the adapter is incomplete, or belongs to "
                "another base or config"
            )


def _hash(files: Sequence[Path]) -> str:
    """Return the SHA-256 of the bytes of all files, one after another."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def silence_transformers() -> Iterator[None]:
    """Keep transformers from warning of a base's missing head, which the adapter brings, and from logging its errors.

    Parameters that are really missing are refused afterwards, and errors are raised as well.
    """
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        transformers.logging.set_verbosity(before)


@contextlib.contextmanager
def _without_compiler() -> Iterator[None]:
    """Keep PyTorch's compiler out of a process whose encoding is not UTF-8.

    The import of ModernBERT starts it, and the compiler cannot be imported there: it reads its own files in the
    encoding of the process. Nothing here is compiled.
    """
    name = "TORCHDYNAMO_DISABLE"
    if sys.getfilesystemencoding() == "utf-8" or name in os.environ:
        yield
        return
    os.environ[name] = "1"
    try:
        yield
    finally:
        del os.environ[name]
