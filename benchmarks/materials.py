"""The optional materials beside the repository: real tokenizers, shapes and text (configs/, tokenizers/, text/)."""

import os
from pathlib import Path


def materials() -> Path:
    """The folder that ASSAY_MATERIALS names, else `shared` beside the repository; it may be absent."""
    return Path(os.environ.get("ASSAY_MATERIALS", Path(__file__).resolve().parents[2] / "shared"))
