"""The demo pair classifier with other labels: a checkpoint for tests that compare with the library it comes from."""

import json
import shutil
from pathlib import Path
from typing import Any

from tests.conftest import CHECKPOINTS

__all__ = ["save_with_labels"]


def save_with_labels(folder: Path, labels: list[str], **changes: Any) -> Path:
    """Save the demo pair classifier with the first outputs of its head, named `labels`, and `changes` to its config."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(CHECKPOINTS / "pair-classifier", folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["id2label"] = dict(enumerate(labels))
    config["label2id"] = {label: index for index, label in enumerate(labels)}
    (folder / "config.json").write_text(json.dumps(config | changes), encoding="utf-8")
    weights = load_file(folder / "model.safetensors")
    for name in ("classifier.weight", "classifier.bias"):
        weights[name] = weights[name][: len(labels)].contiguous()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
