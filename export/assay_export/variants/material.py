"""What a variant is written from, fitted to and held against."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay_export.checkpoint.head import Head
from assay_export.checkpoint.loading import Checkpoint
from assay_export.checkpoint.tokenizer import TokenizerFiles
from assay_export.gates.parity import Case
from assay_export.progress import Progress
from assay_export.variants.int8.gate import Limits
from assay_export.variants.int8.variant import Calibration, calibrate


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
