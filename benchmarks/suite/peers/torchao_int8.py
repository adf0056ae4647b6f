"""torchao's dynamic int8 quantisation of transformers' model, eager and compiled, in an environment of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from assay.inputs.validation import Row
from benchmarks.suite.peers.batches import run_in_batches
from benchmarks.suite.setup import Float32, Mode, Setup

__all__ = ["list_files", "make"]


class TorchaoPeer:
    """Int8DynamicActivationInt8WeightConfig on every linear layer, as torchao's documentation has it for CPUs."""

    def __init__(self, name: str, setup: Setup, mode: Mode) -> None:
        self._name, self._setup, self._mode = name, setup, mode
        self._model: Any = None
        self._tokenizer: Any = None

    def load(self) -> None:
        import torch
        from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        torch.set_num_threads(self._setup.threads)
        self._tokenizer = AutoTokenizer.from_pretrained(self._setup.bundle)
        model: Any = AutoModelForSequenceClassification.from_pretrained(
            self._setup.checkpoint, dtype=torch.float32, local_files_only=True
        ).eval()
        quantize_(model, Int8DynamicActivationInt8WeightConfig())
        # Lengths differ between requests, and compiling a graph for each would take minutes.
        self._model = torch.compile(model, dynamic=True) if self._name == "torchao-int8-compile" else model

    def run(self, rows: Sequence[Row]) -> Float32:
        return run_in_batches(rows, self._call, self._mode, self._setup.device)

    def _call(self, rows: Sequence[Row]) -> Float32:
        import torch

        feed = self._tokenizer(
            list(rows), padding=True, truncation=True, max_length=self._setup.max_length, return_tensors="pt"
        )
        with torch.inference_mode():
            logits: Float32 = self._model(**feed).logits.float().numpy()
        return logits


def list_files(name: str, setup: Setup) -> list[Path]:  # noqa: ARG001
    """List the weights, which are quantised at every load."""
    return sorted(Path(setup.checkpoint).glob("*.safetensors"))


def make(name: str, setup: Setup, mode: Mode) -> TorchaoPeer:
    return TorchaoPeer(name, setup, mode)
