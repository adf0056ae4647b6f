"""Helpers: calibration text for the demo checkpoints, and copies of the checkpoints with changed weights."""

import importlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from assay_export.texts.calibration import FEWEST_ROWS
from tests.conftest import CHECKPOINTS


def write_calibration(kind: str, folder: Path) -> Path:
    """Write rows like those that the demo checkpoints were trained on; built-in English text means nothing to them."""
    sys.path.insert(0, str(CHECKPOINTS))  # the generator's modules are scripts in one folder
    try:
        generate = {
            "pairs": importlib.import_module("pair_text").generate_pairs,
            "instructions": importlib.import_module("instruction_text").generate_instructions,
        }[kind]
    finally:
        sys.path.remove(str(CHECKPOINTS))
    path = folder / "calibration.jsonl"
    rows = generate(FEWEST_ROWS, seed=2026, held_out=True)
    path.write_text("".join(json.dumps(row._asdict()) + "\n" for row in rows), encoding="utf-8")
    return path


def merge_scorer(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> Path:
    """Merge the demo scorer's adapter into its base model, change the weights, and save them in `folder`."""
    from assay_export.checkpoint.files import open_files
    from assay_export.checkpoint.loading import load

    feed = {name: np.ones((1, 4), np.int64) for name in ("input_ids", "attention_mask")}
    model = load(open_files(CHECKPOINTS / "complexity-adapter"), [feed]).reference.module
    model.save_pretrained(folder)
    return change_weights(folder, CHECKPOINTS / "complexity-base", change)


def change_weights(folder: Path, tokenizer: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> Path:
    """Change the weights of the checkpoint in `folder`, and copy the tokenizer from another folder into it."""
    state = {name: tensor.clone() for name, tensor in load_file(folder / "model.safetensors").items()}
    change(state)
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tokenizer / name, folder / name)
    return folder
