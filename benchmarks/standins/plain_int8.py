"""The int8 graphs of a checkpoint with every layer in int8 and no gate, for their speed and size.

    python -m benchmarks.standins.plain_int8 CHECKPOINT FOLDER

What `assay export --variants fp32,int8` writes depends on the weights. The answers of random weights lie so close
together that the gate would turn layer after layer back to float32. This is the graph of a model that passes at once.
The command writes the one for assay-kernels; `save` also writes that of int8_ort, of ONNX Runtime's own operators.
"""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from assay.errors import AssayError
from assay_export.checkpoint import loading
from assay_export.checkpoint.files import open_files
from assay_export.graphs.architectures import AUTHORED
from assay_export.graphs.writer import Array, Dialect
from assay_export.variants.int8.kernels import variant
from assay_export.variants.int8.linear import Recipe
from assay_export.variants.int8.providers import graph
from benchmarks.errors import BenchmarkError

__all__ = ["FILES", "PROBE", "Model", "PlainRecipes", "load", "save"]

FILES = {Dialect.KERNELS: "model_int8.onnx", Dialect.CPU: "model_int8_ort.onnx"}
"""The names that the variants int8 and int8_ort have in a bundle."""
PROBE = {"input_ids": np.arange(1, 9)[None], "attention_mask": np.ones((1, 8), np.int64)}
"""Loading compares a merged adapter with its base and adapter on some text, and any text will do."""
SCORE_REACH = 1.0  # the range of position scores in int8_ort, which has no influence on speed


class PlainRecipes(dict[str, Recipe]):
    """The first recipe of every layer and table."""

    def __missing__(self, name: str) -> Recipe:
        if name == "head.classifier":
            return Recipe("fp32")
        return Recipe(score_reach=SCORE_REACH)


@dataclass(frozen=True)
class Model:
    """What a graph is written from."""

    architecture: Any
    settings: Any
    weights: Mapping[str, Array]
    labels: int


def load(source: Path) -> Model:
    """Read the checkpoint in the folder `source`.

    Raises:
        AssayError: It cannot be read, or assay has no graph of its own for the architecture.
    """
    loaded = loading.load(open_files(source), [PROBE])
    kind = loaded.config_4["model_type"]
    if kind not in AUTHORED:
        raise BenchmarkError(f"{source}: is a {kind}, expected one of {', '.join(AUTHORED)}: pass such a checkpoint")
    labels = loaded.reference.module.config.num_labels
    return Model(AUTHORED[kind], AUTHORED[kind].read_config(loaded.config_4), loaded.reference.weights(), labels)


def save(model: Model, recipes: PlainRecipes, folder: Path, dialect: Dialect = Dialect.KERNELS) -> Path:
    """Write the graph and its weights into `folder`, and return the graph's path.

    Args:
        model: What to write.
        recipes: The recipe of every layer and table.
        folder: Where to write. It is created if it does not exist.
        dialect: KERNELS for the variant int8, CPU for int8_ort.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILES[dialect]
    write = variant.save if dialect is Dialect.KERNELS else graph.save
    write(model.architecture, model.settings, model.weights, recipes, path)
    return path


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0, or 1 with one line on standard error.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.standins.plain_int8", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    options = parser.parse_args(arguments)
    try:
        path = save(load(options.checkpoint), PlainRecipes(), options.folder)
    except AssayError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    size = sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))
    print(f"{path}: {size / 1e6:.1f} MB with its weights, no gate")
    return 0


if __name__ == "__main__":
    sys.exit(main())
