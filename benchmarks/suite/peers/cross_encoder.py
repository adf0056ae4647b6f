"""sentence-transformers' CrossEncoder, which takes pairs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import CrossEncoder

from assay.inputs.validation import Row
from benchmarks.suite.peers.batches import ROWS
from benchmarks.suite.setup import Float32, Mode, Setup

__all__ = ["list_files", "make"]


class CrossEncoderPeer:
    """A CrossEncoder without an activation function: by default it applies a sigmoid to a single label."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._model: Any = None

    def load(self) -> None:
        torch.set_num_threads(self._setup.threads)
        self._model = CrossEncoder(
            self._setup.checkpoint,
            max_length=self._setup.max_length,
            device=self._setup.device,
            local_files_only=True,
            activation_fn=torch.nn.Identity(),
        )

    def run(self, rows: Sequence[Row]) -> Float32:
        logits: Float32 = self._model.predict(list(rows), batch_size=ROWS[self._setup.device], show_progress_bar=False)
        return logits.reshape(len(rows), -1)


def list_files(name: str, setup: Setup) -> list[Path]:  # noqa: ARG001
    """List the weights."""
    return sorted(Path(setup.checkpoint).glob("*.safetensors"))


def make(name: str, setup: Setup, mode: Mode) -> CrossEncoderPeer:  # noqa: ARG001
    return CrossEncoderPeer(setup)
