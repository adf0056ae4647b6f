"""The demo checkpoints as the int8 variants are fitted to them: text of their kind, and their weights changed."""

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


def calibration(kind: str, folder: Path) -> Path:
    """Text of the kind that the stand-ins were trained on, but other rows: the built-in English is noise to them."""
    sys.path.insert(0, str(CHECKPOINTS))  # the generator's modules are scripts beside one another
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


def merged_scorer(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> Path:
    """The demo scorer as full weights, changed."""
    from assay_export.checkpoint.loading import load, locate

    feed = {name: np.ones((1, 4), np.int64) for name in ("input_ids", "attention_mask")}
    model = load(locate(CHECKPOINTS / "complexity-adapter"), [feed]).reference.module
    model.save_pretrained(folder)
    return changed(folder, CHECKPOINTS / "complexity-base", change)


def changed(folder: Path, tokenizer: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> Path:
    state = {name: tensor.clone() for name, tensor in load_file(folder / "model.safetensors").items()}
    change(state)
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tokenizer / name, folder / name)
    return folder
