"""What a variant is written from, fitted to and held against."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .checkpoint import Checkpoint
from .head import Head
from .int8.gate import Limits
from .int8.variant import Calibration, calibrate
from .parity import Case
from .progress import Progress
from .tokenizer_files import TokenizerFiles


@dataclass(frozen=True)
class Material:
    """One checkpoint on its way into a bundle, after its fp32 graphs have passed their gate."""

    architecture: Any  # a module of AUTHORED, and `settings` what its read_config made
    settings: Any
    loaded: Checkpoint
    tokens: TokenizerFiles
    head: Head
    cases: Sequence[Case]  # of the fp32 gate: shapes and real text, with PyTorch's logits
    rows: Sequence[tuple[str, ...]]  # calibration text
    max_length: int
    limits: Limits
    folder: Path  # the bundle's, while it is staged
    progress: Progress

    @functools.cached_property
    def calibration(self) -> Calibration:
        """What the int8 variants are fitted to and gated on, found out when the first of them asks."""
        return calibrate(
            self.architecture,
            self.settings,
            self.loaded,
            self.tokens,
            self.rows,
            self.max_length,
            self.folder / "onnx",
            self.progress,
        )
