"""Assay: fine-tuned encoder models in production, answered from gated ONNX bundles.

    import assay
    judge = assay.load("bundles/osmosis")                # assay.Classifier
    judge.predict("What causes rain?", "Rain forms when ...").label
    scorer = assay.load("bundles/maxwell")               # assay.Scorer
    scorer.score("Is learning ...?", scale=(0, 100))

This package needs numpy, tokenizers and an ONNX Runtime, and imports nothing else. Exporting is assay_export's.
"""

from typing import TYPE_CHECKING, Any

from assay.errors import (
    AssayError,
    BundleError,
    InputError,
    InstallationError,
    NumericalError,
    ProviderError,
)
from assay.installation import check_on_import

if TYPE_CHECKING:
    from assay.classifier import Classifier, Prediction
    from assay.loading import load
    from assay.scorer import Scorer

    __version__: str

__all__ = [
    "AssayError",
    "BundleError",
    "Classifier",
    "InputError",
    "InstallationError",
    "NumericalError",
    "Prediction",
    "ProviderError",
    "Scorer",
    "__version__",
    "load",
]

check_on_import()

# Loaded on first use: numpy takes most of what an import of everything takes, and `assay --help` needs none of it.
_MODULES = {
    "Classifier": "assay.classifier",
    "Prediction": "assay.classifier",
    "Scorer": "assay.scorer",
    "load": "assay.loading",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("assay")
    elif name in _MODULES:
        from importlib import import_module

        value = getattr(import_module(_MODULES[name]), name)
    else:
        raise AttributeError(f"module 'assay' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
