"""transformers' text-classification pipeline in float32, row by row.

Its documentation advises against batches on a CPU.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from assay.inputs.validation import Row
from benchmarks.suite.setup import Float32, Mode, Setup

__all__ = ["list_files", "make"]


class PipelinePeer:
    """The pipeline with raw logits of all labels, without an activation function."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._pipeline: Any = None

    def load(self) -> None:
        torch.set_num_threads(self._setup.threads)
        model: Any = AutoModelForSequenceClassification.from_pretrained(
            self._setup.checkpoint, dtype=torch.float32, local_files_only=True
        )
        tokenizer = AutoTokenizer.from_pretrained(self._setup.bundle)
        self._pipeline = pipeline(
            "text-classification", model=model.eval(), tokenizer=tokenizer, device=self._setup.device
        )

    def run(self, rows: Sequence[Row]) -> Float32:
        inputs = [row if isinstance(row, str) else dict(zip(("text", "text_pair"), row, strict=True)) for row in rows]
        answers = self._pipeline(
            inputs, top_k=None, function_to_apply="none", truncation=True, max_length=self._setup.max_length
        )
        index = self._pipeline.model.config.label2id
        logits = np.empty((len(rows), len(index)), np.float32)
        for row, answer in enumerate(answers):
            for entry in answer:
                logits[row, index[entry["label"]]] = entry["score"]
        return logits


def list_files(name: str, setup: Setup) -> list[Path]:  # noqa: ARG001
    """List the weights."""
    return sorted(Path(setup.checkpoint).glob("*.safetensors"))


def make(name: str, setup: Setup, mode: Mode) -> PipelinePeer:  # noqa: ARG001
    return PipelinePeer(setup)
