"""The optional materials next to the repository: real tokenizers, shapes and text (configs/, tokenizers/, text/)."""

import os
from pathlib import Path

from benchmarks import ROOT

__all__ = ["locate_materials"]


def locate_materials() -> Path:
    """Return the folder in ASSAY_MATERIALS, by default `shared` next to the repository. It need not exist."""
    return Path(os.environ.get("ASSAY_MATERIALS", ROOT.parent / "shared"))
