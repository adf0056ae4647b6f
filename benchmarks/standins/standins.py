"""Builds stand-ins as checkpoints that are laid out as on the Hub, so that whatever reads a checkpoint reads them.

A stand-in has config.json, model.safetensors in fp32, tokenizer.json and tokenizer_config.json, and an adapter has
adapter_config.json and adapter_model.safetensors. Shapes and tokenizers come from the optional materials next to the
repository (`../shared`, or the folder in ASSAY_MATERIALS) or from the caller. The small trained checkpoints of the
demo are elsewhere, in tests/checkpoints.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from benchmarks.errors import BenchmarkError
from benchmarks.inputs.materials import locate_materials
from benchmarks.standins.random_weights import draw_adapter, draw_classifier

__all__ = ["CONFIGS", "build_adapter", "build_checkpoint", "create_folder"]

CONFIGS = {"osmosis": "osmosis", "maxwell": "maxwell", "maxwell-adapter": "maxwell"}
"""By stand-in, the folder of the materials' configs/ that it takes its shape from."""
TOKENIZERS = {"osmosis": "deberta-v3", "maxwell": "modernbert", "maxwell-adapter": "modernbert"}
"""By stand-in, the folder of the materials' tokenizers/ that it takes its vocabulary from."""

SPECIAL_TOKENS = {
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "mask_token": "[MASK]",
}

README = """# Stand-in with random weights
Made by `python -m benchmarks.standins {kind}` with seed {seed}. It has the shape of a published model and random
weights: it shows speed and memory, and its answers mean nothing.
"""


def find_file(given: Path | None, default: Path, option: str) -> Path:
    """Return `given`, or `default` if that is None.

    Raises:
        BenchmarkError: That file does not exist.
    """
    path = given or default
    if not path.is_file():
        raise BenchmarkError(
            f"{path} is not a file: pass {option} FILE, or set ASSAY_MATERIALS to the folder of the materials"
        )
    return path


def read_object(path: Path) -> dict[str, Any]:
    """Read the JSON object in `path`.

    Raises:
        BenchmarkError: The file is not a JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BenchmarkError(f"{path} is not JSON ({error}): pass a checkpoint's file") from error
    if not isinstance(value, dict):
        raise BenchmarkError(f"{path} is a JSON {type(value).__name__}, expected an object: pass a checkpoint's file")
    return value


@contextmanager
def create_folder(out: Path) -> Iterator[Path]:
    """Create a folder next to `out` that becomes `out` at the end of the block, and is removed if the block raises.

    Raises:
        BenchmarkError: `out` exists already.
    """
    if out.exists() or out.is_symlink():
        raise BenchmarkError(f"{out} exists: remove it or name another folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.partial-{os.getpid()}")
    partial.mkdir()
    try:
        yield partial
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def save_tokenizer(tokenizer: Path, config: Path, folder: Path) -> None:
    """Copy tokenizer.json byte for byte and write a tokenizer_config.json for AutoTokenizer."""
    shutil.copyfile(tokenizer, folder / "tokenizer.json")
    known = Tokenizer.from_file(str(tokenizer)).get_vocab()
    document = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": read_object(config).get("max_position_embeddings", 512),
        "model_input_names": ["input_ids", "attention_mask"],
        "clean_up_tokenization_spaces": False,
        **{role: token for role, token in SPECIAL_TOKENS.items() if token in known},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def save_checkpoint(model: Any, config: Path, tokenizer: Path, folder: Path) -> None:
    """Write a checkpoint with one file of weights. The config is copied: transformers would rewrite its keys."""
    model.save_pretrained(folder, safe_serialization=True, max_shard_size="100GB")
    shutil.copyfile(config, folder / "config.json")
    save_tokenizer(tokenizer, config, folder)


def build_checkpoint(
    kind: str, out: Path, *, config: Path | None = None, tokenizer: Path | None = None, seed: int = 0
) -> None:
    """Build the stand-in `kind` ("osmosis" or "maxwell") in the new folder `out`.

    Raises:
        BenchmarkError: `out` exists, or the config or tokenizer is missing or unfit.
    """
    config_file = find_file(config, locate_materials() / "configs" / CONFIGS[kind] / "config.json", "--config")
    tokenizer_file = find_file(
        tokenizer, locate_materials() / "tokenizers" / TOKENIZERS[kind] / "tokenizer.json", "--tokenizer"
    )
    generator = torch.Generator().manual_seed(seed)
    with create_folder(out) as folder:
        model = draw_classifier(read_object(config_file), Tokenizer.from_file(str(tokenizer_file)), generator)
        save_checkpoint(model, config_file, tokenizer_file, folder)
        (folder / "README.md").write_text(README.format(kind=kind, seed=seed), encoding="utf-8")


def build_adapter(
    out: Path,
    *,
    config: Path | None = None,
    adapter_config: Path | None = None,
    base: Path | None = None,
    tokenizer: Path | None = None,
    seed: int = 0,
) -> None:
    """Build the stand-in "maxwell-adapter" in the new folder `out`: adapter/, and base/ unless `base` is set.

    adapter_config.json names its base relative to its own folder ("../base"), or by an absolute path if `base` is set.

    Raises:
        BenchmarkError: `out` exists, or a config, the tokenizer or the base is missing or unfit.
    """
    from transformers import AutoModelForSequenceClassification

    kind = "maxwell-adapter"
    config_file = find_file(
        config, (base or locate_materials() / "configs" / CONFIGS[kind]) / "config.json", "--config"
    )
    lora = read_object(
        find_file(adapter_config, locate_materials() / "configs" / kind / "adapter_config.json", "--adapter-config")
    )
    tokenizer_folder = base or locate_materials() / "tokenizers" / TOKENIZERS[kind]
    tokenizer_file = find_file(tokenizer, tokenizer_folder / "tokenizer.json", "--tokenizer")
    vocabulary = Tokenizer.from_file(str(tokenizer_file))
    generator = torch.Generator().manual_seed(seed)
    with create_folder(out) as folder:
        if base:
            model = AutoModelForSequenceClassification.from_pretrained(base, dtype=torch.float32).eval()
        else:
            model = draw_classifier(read_object(config_file), vocabulary, generator)
            (folder / "base").mkdir()
            save_checkpoint(model, config_file, tokenizer_file, folder / "base")
        base_name = str(base.resolve()) if base else "../base"
        adapted = draw_adapter(model, lora, base_name, vocabulary, generator)
        adapted.save_pretrained(str(folder / "adapter"), save_embedding_layers=False)
        save_tokenizer(tokenizer_file, config_file, folder / "adapter")
        for part in folder.iterdir():
            (part / "README.md").write_text(README.format(kind=kind, seed=seed), encoding="utf-8")
