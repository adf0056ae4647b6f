"""The files of a bundle other than its graphs: config.json, the tokenizer's files and the manifest."""

import hashlib
import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay.bundle.manifest import SCHEMA_VERSION
from assay_export.checkpoint.configs.cross_encoder import ACTIVATION_PATHS
from assay_export.checkpoint.head import Head
from assay_export.checkpoint.loading import Checkpoint
from assay_export.checkpoint.tokenizer import TokenizerFiles, dump
from assay_export.graphs.origin import Origin

__all__ = ["build_manifest", "write_metadata"]

_TOOLS = (
    "assay",
    "torch",
    "transformers",
    "peft",
    "onnx",
    "onnx-ir",
    "onnxscript",
    "onnxruntime",
    "tokenizers",
    "numpy",
)


def write_metadata(folder: Path, loaded: Checkpoint, tokens: TokenizerFiles, head: Head) -> None:
    """Write config.json and the tokenizer's files, for the runtime and for other tools."""
    config = dict(loaded.config)
    config["id2label"] = {str(index): label for index, label in enumerate(head.labels)}
    config["label2id"] = {label: index for index, label in enumerate(head.labels)}
    config.pop("num_labels", None)
    if head.task == "regression":
        _state_activation(config, head)
    elif head.activation == "sigmoid" and config.get("problem_type") is None:
        config["problem_type"] = "multi_label_classification"  # as sentence-transformers' Sigmoid says
    (folder / "config.json").write_text(dump(config), encoding="utf-8")
    (folder / "tokenizer.json").write_bytes(tokens.json_bytes)
    (folder / "tokenizer_config.json").write_text(dump(tokens.config), encoding="utf-8")


def _state_activation(config: dict[str, Any], head: Head) -> None:
    """Make the pipeline of transformers and CrossEncoder of sentence-transformers answer as the bundle does."""
    # The pipeline applies a sigmoid to a single logit, unless it is a regression.
    config.pop("problem_type", None)
    if head.activation == "identity":
        config["problem_type"] = "regression"
    config.pop("sbert_ce_default_activation_function", None)
    config["sentence_transformers"] = {
        **(config.get("sentence_transformers") or {}),
        "activation_fn": ACTIVATION_PATHS[head.activation],
    }


def build_manifest(
    folder: Path,
    loaded: Checkpoint,
    tokens: TokenizerFiles,
    head: Head,
    origin: Origin,
    variants: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> dict[str, Any]:
    """Return the document of assay.json, before it is sealed; assay.bundle.manifest says what each value means.

    Args:
        folder: The bundle, with every other file in it.
        loaded: The checkpoint.
        tokens: Its tokenizer.
        head: What its logits mean.
        origin: Where the graphs come from.
        variants: The entries of all graphs, by variant and dialect.
    """
    files, config = loaded.files, loaded.config
    scale = None
    if head.score_range is not None:
        evol_complexity = None if head.evol_complexity is None else list(head.evol_complexity)
        scale = {"native": list(head.score_range), "evol_complexity": evol_complexity}
    return {
        "schema_version": SCHEMA_VERSION,
        "name": files.source.name,
        "architecture": files.model_type,
        "graph_origin": "authored" if origin.authored else "traced",
        "graph_origin_reason": origin.reason,
        "task": head.task,
        "input": head.row,
        "labels": list(head.labels),
        "activation": head.activation,
        "scale": scale,
        "pooling": origin.authored.settings.pooling if origin.authored else None,
        "max_length": tokens.max_length,
        "truncation": head.truncation,
        "special_tokens": {
            "pad_token_id": config.get("pad_token_id"),
            "split_special_tokens": tokens.split_special_tokens,
            "template": tokens.describe_template(),
        },
        "source": {
            "id": files.source.id,
            "revision": files.source.revision,
            "base": files.base.id if files.base else None,
            "base_revision": files.base.revision if files.base else None,
            "weights_sha256": loaded.weights_sha256,
            "merge_max_abs_delta": loaded.merge_delta,
            "tokenizer": tokens.origin,
        },
        "tools": {name: importlib.metadata.version(name) for name in _TOOLS},
        "variants": variants,
        "files": {
            path.relative_to(folder).as_posix(): {"sha256": _hash(path), "size": path.stat().st_size}
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
    }


def _hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
