"""Helper: tiny models with random weights, and their graphs for the kernels with any recipes."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from assay_export.graphs.architectures import AUTHORED
from assay_export.graphs.writer import Array, Dialect
from assay_export.variants.int8.kernels import variant
from assay_export.variants.int8.kernels.damage import measure_damage
from assay_export.variants.int8.linear import Recipe
from tests.export import tiny

EMBEDDINGS = "embeddings.word"


class Layers(dict[str, Recipe]):
    """Notes each layer that a graph asks a recipe for."""

    def __missing__(self, name: str) -> Recipe:
        self[name] = Recipe()
        return self[name]


class Checkpoint:
    """A tiny model with random weights, and its graphs with some recipes."""

    def __init__(self, config: dict[str, Any], folder: Path) -> None:
        self.architecture = AUTHORED[config["model_type"]]
        self.settings = self.architecture.read_config(config)
        state = tiny.model(config).state_dict()
        self.weights: dict[str, Array] = {name: tensor.detach().numpy() for name, tensor in state.items()}
        for name, weight in self.weights.items():
            if "embeddings" in name:  # exact in float16, which is as exact as a recipe for them gets
                self.weights[name] = weight.astype(np.float16).astype(np.float32)
        self.folder = folder
        layers = Layers()
        self.save(layers)
        self.names = list(layers)

    def save(self, recipes: dict[str, Recipe]) -> Path:
        path = self.folder / "model.onnx"
        variant.save(self.architecture, self.settings, self.weights, recipes, path)
        return path

    def open(self, recipes: dict[str, Recipe]) -> onnxruntime.InferenceSession:
        return tiny.session(self.save(recipes), Dialect.KERNELS)

    def answer(self, recipes: dict[str, Recipe], feed: dict[str, Array]) -> Array:
        logits: Array = self.open(recipes).run(["logits"], feed)[0]
        return logits

    def measure(self, recipes: dict[str, Recipe], feed: dict[str, Array], **options: Any) -> dict[str, float]:
        return measure_damage(self.architecture, self.settings, self.weights, recipes, feed, self.folder, **options)

    def list_exact(self) -> dict[str, Recipe]:
        return {name: Recipe("fp16" if name == EMBEDDINGS else "fp32") for name in self.names}
