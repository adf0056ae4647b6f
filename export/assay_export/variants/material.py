"""The input of every variant: the checkpoint, its calibration text, and where to write."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from assay_export.checkpoint.head import Head
from assay_export.checkpoint.loading import Checkpoint
from assay_export.checkpoint.reference import Feed
from assay_export.checkpoint.tokenizer import TokenizerFiles
from assay_export.gates import parity
from assay_export.gates.parity import Case
from assay_export.graphs.architecture import Architecture, Settings
from assay_export.progress import Progress
from assay_export.variants.int8.gate import Limits

__all__ = ["Material"]

T = TypeVar("T")


@dataclass(frozen=True)
class Material:
    """A checkpoint whose fp32 graphs have passed their gate, and everything a further variant is made from.

    Attributes:
        architecture: The authored architecture of the checkpoint.
        settings: The settings that `architecture` read from config.json.
        loaded: The checkpoint with its PyTorch model.
        tokens: The tokenizer and its files.
        head: Labels, activation and kind of input.
        cases: The cases of the fp32 gate, shapes first and real text after them, with PyTorch's logits.
        rows: Calibration text.
        inputs: The inputs of the portable graph, which are those of the PyTorch model.
        max_length: The longest input in tokens.
        limits: What the int8 gate allows.
        fp32_limit: The largest |delta logit| that the fp32 gate allowed.
        folder: The bundle's folder while it is being staged.
        progress: Where to report progress.
    """

    architecture: Architecture
    settings: Settings
    loaded: Checkpoint
    tokens: TokenizerFiles
    head: Head
    cases: Sequence[Case]
    rows: Sequence[tuple[str, ...]]
    inputs: tuple[str, ...]
    max_length: int
    limits: Limits
    fp32_limit: float
    folder: Path
    progress: Progress
    _shared: dict[Callable[["Material"], Any], Any] = field(default_factory=dict, init=False, repr=False)

    def encode(self, rows: Sequence[tuple[str, ...]]) -> list[Feed]:
        """Encode texts or pairs as inputs of the PyTorch model, each as a batch of one."""
        encoded = parity.encode(self.tokens.tokenizer, rows, self.max_length)
        return [{name: feed[name] for name in self.inputs} for feed in encoded]

    def share(self, compute: Callable[["Material"], T]) -> T:
        """Return `compute(self)`, computed once for all variants of this export."""
        if compute not in self._shared:
            self._shared[compute] = compute(self)
        result: T = self._shared[compute]
        return result
