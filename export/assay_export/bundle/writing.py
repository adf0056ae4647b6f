"""The files of a bundle beside its graphs: config.json, the tokenizer's and the manifest."""

import hashlib
import importlib.metadata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from assay.bundle.manifest import SCHEMA_VERSION
from assay_export.checkpoint.head import Head
from assay_export.checkpoint.loading import Checkpoint, Location
from assay_export.checkpoint.source import Source
from assay_export.checkpoint.tokenizer import TokenizerFiles, dump
from assay_export.graphs.architectures import AUTHORED
from assay_export.graphs.cpu_session import GRAPH_OPTIMIZATION
from assay_export.graphs.writer import Dialect

TOOLS = (
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

GRAPH_INPUTS = {Dialect.PORTABLE: ("input_ids", "attention_mask"), Dialect.CPU: ("input_ids",)}


def graph_entry(
    dialect: Dialect, file: str, data: Iterable[str], inputs: Iterable[str] | None = None
) -> dict[str, Any]:
    """A graph in the manifest, but for its report; `inputs` are those of an authored graph, where not given."""
    return {
        "file": file,
        "data": list(data),
        "inputs": list(GRAPH_INPUTS[dialect] if inputs is None else inputs),
        "graph_optimization": GRAPH_OPTIMIZATION[dialect],
    }


def write_metadata(folder: Path, loaded: Checkpoint, tokens: TokenizerFiles, head: Head) -> None:
    """config.json and the tokenizer's files, for the runtime and for other people's tools."""
    config = dict(loaded.config)
    config["id2label"] = {str(index): label for index, label in enumerate(head.labels)}
    config["label2id"] = {label: index for index, label in enumerate(head.labels)}
    if head.task == "regression":
        # Without it, the transformers pipeline puts a sigmoid on a single logit.
        config["problem_type"] = "regression"
    (folder / "config.json").write_text(dump(config), encoding="utf-8")
    (folder / "tokenizer.json").write_bytes(tokens.json_bytes)
    (folder / "tokenizer_config.json").write_text(dump(tokens.config), encoding="utf-8")


def manifest(
    folder: Path,
    source: Source,
    location: Location,
    loaded: Checkpoint,
    tokens: TokenizerFiles,
    head: Head,
    pooling: str | None,
    variants: Mapping[str, Mapping[str, Mapping[str, Any]]],
    max_length: int,
) -> dict[str, Any]:
    """assay.json, before it is sealed; see assay.bundle.manifest for what each value means."""
    config = loaded.config
    is_unit_scorer = head.task == "regression" and config["model_type"] == "modernbert"
    return {
        "schema_version": SCHEMA_VERSION,
        "name": source.name,
        "architecture": config["model_type"],
        "graph_origin": "authored" if config["model_type"] in AUTHORED else "traced",
        "task": head.task,
        "input": head.row,
        "labels": list(head.labels),
        "activation": head.activation,
        # Maxwell's card: 0..1, rescaled to Evol-Complexity's 1..6.
        "scale": {"native": [0.0, 1.0], "evol_complexity": [1, 6]} if is_unit_scorer else None,
        "pooling": pooling,
        "max_length": max_length,
        # The cards: osmosis truncates its pairs, maxwell reads its text whole.
        "truncation": "longest_first" if head.row == "pair" else "refuse",
        "special_tokens": {"pad_token_id": config.get("pad_token_id"), "template": tokens.template()},
        "source": {
            "id": source.id,
            "revision": source.revision,
            "base": location.base.id if location.base else None,
            "base_revision": location.base.revision if location.base else None,
            "weights_sha256": loaded.weights_sha256,
            "merge_max_abs_delta": loaded.merge_delta,
            "tokenizer": tokens.origin,
        },
        "tools": {name: importlib.metadata.version(name) for name in TOOLS},
        "variants": variants,
        "files": {
            path.relative_to(folder).as_posix(): {"sha256": _sha256(path), "size": path.stat().st_size}
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
