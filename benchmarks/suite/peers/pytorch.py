"""transformers' own model in PyTorch: eager in float32, bfloat16 or float16, and compiled."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from assay.inputs.validation import Row
from benchmarks.suite.peers.batches import run_in_batches
from benchmarks.suite.setup import Float32, Mode, Setup

__all__ = ["list_files", "make"]

DTYPES = {
    "torch-fp32": torch.float32,
    "torch-compile": torch.float32,
    "torch-bf16": torch.bfloat16,
    "torch-fp16": torch.float16,
}


class TorchPeer:
    """Attention is transformers' default for the architecture: SDPA for ModernBERT, eager for DeBERTa."""

    def __init__(self, name: str, setup: Setup, mode: Mode) -> None:
        self._name, self._setup, self._mode = name, setup, mode
        self._model: Any = None
        self._tokenizer: Any = None

    def load(self) -> None:
        torch.set_num_threads(self._setup.threads)
        self._tokenizer = AutoTokenizer.from_pretrained(self._setup.bundle)
        model: Any = AutoModelForSequenceClassification.from_pretrained(
            self._setup.checkpoint, dtype=DTYPES[self._name], local_files_only=True
        )
        model = model.eval().to(self._setup.device)
        # Lengths differ between requests, and compiling a graph for each would take minutes.
        self._model = torch.compile(model, dynamic=True) if self._name == "torch-compile" else model

    def run(self, rows: Sequence[Row]) -> Float32:
        return run_in_batches(rows, self._call, self._mode, self._setup.device)

    def _call(self, rows: Sequence[Row]) -> Float32:
        feed = self._tokenizer(
            list(rows), padding=True, truncation=True, max_length=self._setup.max_length, return_tensors="pt"
        ).to(self._setup.device)
        with torch.inference_mode():
            logits: Float32 = self._model(**feed).logits.float().cpu().numpy()
        return logits


def list_files(name: str, setup: Setup) -> list[Path]:  # noqa: ARG001
    """List the weights."""
    return sorted(Path(setup.checkpoint).glob("*.safetensors"))


def make(name: str, setup: Setup, mode: Mode) -> TorchPeer:
    return TorchPeer(name, setup, mode)
