"""Full-size stand-ins with random weights, built on demand: they prove speed and memory, never accuracy.

    python -m benchmarks.standins osmosis         OUT    a DeBERTa-v3-base pair classifier
    python -m benchmarks.standins maxwell         OUT    a ModernBERT-large with one regression output
    python -m benchmarks.standins maxwell-adapter OUT    OUT/base (the same) and OUT/adapter (PEFT LoRA over it)

Each is laid out as on the Hub (config.json, model.safetensors in fp32, tokenizer.json, tokenizer_config.json;
adapter_config.json and adapter_model.safetensors for the adapter), so that whatever reads a published checkpoint
reads a stand-in. Shapes and tokenizers come from the optional materials beside the repository (`../shared`, or the
folder that ASSAY_MATERIALS names), or from --config and --tokenizer. The small trained checkpoints of the demo do not
come from here: they lie in tests/checkpoints.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from benchmarks.materials import materials
from benchmarks.random_weights import StandinError, random_adapter, random_classifier

# Which folder of the materials' configs/ and tokenizers/ each stand-in takes its shape and vocabulary from.
CONFIGS = {"osmosis": "osmosis", "maxwell": "maxwell", "maxwell-adapter": "maxwell"}
TOKENIZERS = {"osmosis": "deberta-v3", "maxwell": "modernbert", "maxwell-adapter": "modernbert"}

SPECIAL_TOKENS = {
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "mask_token": "[MASK]",
}

README = """# Stand-in with random weights
Made by `python -m benchmarks.standins {kind}` with seed {seed}. Its shape is that of a published model and its
weights are random: it shows speed and memory, its answers mean nothing.
"""


def find_file(given: Path | None, default: Path, option: str) -> Path:
    """`given` if it was passed, else `default`.

    Raises:
        StandinError: that file does not exist.
    """
    path = given or default
    if not path.is_file():
        raise StandinError(f"{path} is no file: pass {option} FILE, or name the materials' folder in ASSAY_MATERIALS")
    return path


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in `path`.

    Raises:
        StandinError: the file holds no JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StandinError(f"{path} is not JSON ({error}): pass the file of a checkpoint") from error
    if not isinstance(value, dict):
        raise StandinError(f"{path} holds a JSON {type(value).__name__}, expected an object: pass a checkpoint's file")
    return value


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out` that becomes `out` when the block ends well, and is removed when it raises.

    Raises:
        StandinError: `out` exists already.
    """
    if out.exists() or out.is_symlink():
        raise StandinError(f"{out} exists: remove it or name another folder")
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
    """Copy tokenizer.json byte for byte and write a tokenizer_config.json that AutoTokenizer reads it with."""
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
    """Write a checkpoint in one file of weights. The config is copied as given: saving would rewrite its dialect."""
    model.save_pretrained(folder, safe_serialization=True, max_shard_size="100GB")
    shutil.copyfile(config, folder / "config.json")
    save_tokenizer(tokenizer, config, folder)


def build_checkpoint(
    kind: str, out: Path, *, config: Path | None = None, tokenizer: Path | None = None, seed: int = 0
) -> None:
    """Build the stand-in `kind` ("osmosis" or "maxwell") in the new folder `out`.

    Raises:
        StandinError: `out` exists, or the config or tokenizer is missing or unfit.
    """
    config_file = find_file(config, materials() / "configs" / CONFIGS[kind] / "config.json", "--config")
    tokenizer_file = find_file(
        tokenizer, materials() / "tokenizers" / TOKENIZERS[kind] / "tokenizer.json", "--tokenizer"
    )
    generator = torch.Generator().manual_seed(seed)
    with new_folder(out) as folder:
        model = random_classifier(read_object(config_file), Tokenizer.from_file(str(tokenizer_file)), generator)
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
    """Build the stand-in "maxwell-adapter" in the new folder `out`: adapter/, and base/ unless `base` names one.

    adapter_config.json names its base relative to its own folder ("../base"), or absolutely where `base` was given.

    Raises:
        StandinError: `out` exists, or a config, the tokenizer or the base is missing or unfit.
    """
    from transformers import AutoModelForSequenceClassification

    kind = "maxwell-adapter"
    config_file = find_file(config, (base or materials() / "configs" / CONFIGS[kind]) / "config.json", "--config")
    lora = read_object(
        find_file(adapter_config, materials() / "configs" / kind / "adapter_config.json", "--adapter-config")
    )
    tokenizer_folder = base or materials() / "tokenizers" / TOKENIZERS[kind]
    tokenizer_file = find_file(tokenizer, tokenizer_folder / "tokenizer.json", "--tokenizer")
    vocabulary = Tokenizer.from_file(str(tokenizer_file))
    generator = torch.Generator().manual_seed(seed)
    with new_folder(out) as folder:
        if base:
            model = AutoModelForSequenceClassification.from_pretrained(base, dtype=torch.float32).eval()
        else:
            model = random_classifier(read_object(config_file), vocabulary, generator)
            (folder / "base").mkdir()
            save_checkpoint(model, config_file, tokenizer_file, folder / "base")
        base_name = str(base.resolve()) if base else "../base"
        adapted = random_adapter(model, lora, base_name, vocabulary, generator)
        adapted.save_pretrained(str(folder / "adapter"), save_embedding_layers=False)
        save_tokenizer(tokenizer_file, config_file, folder / "adapter")
        for part in folder.iterdir():
            (part / "README.md").write_text(README.format(kind=kind, seed=seed), encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code: 0, or 1 with one line on stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.standins",
        description="Build a full-size stand-in with random weights: it proves speed and memory, never accuracy.",
    )
    parser.add_argument("kind", choices=sorted(CONFIGS))
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to create; an existing one is refused")
    for option, metavar, text in (
        ("--config", "FILE", "config.json of the model; default: that of the materials"),
        ("--adapter-config", "FILE", "maxwell-adapter: adapter_config.json; default: that of the materials"),
        ("--base", "FOLDER", "maxwell-adapter: build the adapter over this checkpoint, not over a new one"),
        ("--tokenizer", "FILE", "tokenizer.json; default: that of --base or of the materials"),
    ):
        parser.add_argument(option, type=Path, metavar=metavar, help=text)
    parser.add_argument("--seed", type=int, default=0, help="seed of all random weights; default: 0")
    options = vars(parser.parse_args(arguments))
    if options["kind"] != "maxwell-adapter" and (options["base"] or options["adapter_config"]):
        parser.error("--base and --adapter-config belong to maxwell-adapter")
    if options["base"] and options["config"]:
        parser.error("--base brings its own config: leave out --config")

    # Sums are taken in one order, so that a seed gives the same weights on any number of cores.
    torch.set_num_threads(1)
    start = time.perf_counter()
    kind, out = options.pop("kind"), options.pop("out")
    print(f"building {out}: random weights, for speed and memory only", flush=True)
    try:
        if kind == "maxwell-adapter":
            print("PiSSA takes one singular value decomposition per adapted matrix: a minute or two", flush=True)
            build_adapter(out, **options)
        else:
            build_checkpoint(kind, out, config=options["config"], tokenizer=options["tokenizer"], seed=options["seed"])
    except StandinError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"built {out} in {time.perf_counter() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
