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
    DeadlineError,
    InputError,
    InstallationError,
    NumericalError,
    OverloadedError,
    ProviderError,
)
from assay.ort.installation import check_on_import

if TYPE_CHECKING:
    from assay import aio, integrations
    from assay.loading import load
    from assay.models.classifier import Classifier, Prediction
    from assay.models.scorer import Scorer

    __version__: str

__all__ = [
    "AssayError",
    "BundleError",
    "Classifier",
    "DeadlineError",
    "InputError",
    "InstallationError",
    "NumericalError",
    "OverloadedError",
    "Prediction",
    "ProviderError",
    "Scorer",
    "__version__",
    "aio",
    "integrations",
    "load",
]

check_on_import()

# Loaded on first use: numpy takes most of what an import of everything takes, and `assay --help` needs none of it.
_MODULES = {
    "Classifier": "assay.models.classifier",
    "Prediction": "assay.models.classifier",
    "Scorer": "assay.models.scorer",
    "load": "assay.loading",
}
_SUBMODULES = ("aio", "integrations")


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("assay")
    elif name in _SUBMODULES:
        from importlib import import_module

        value = import_module(f"assay.{name}")
    elif name in _MODULES:
        from importlib import import_module

        value = getattr(import_module(_MODULES[name]), name)
    else:
        raise AttributeError(f"module 'assay' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
