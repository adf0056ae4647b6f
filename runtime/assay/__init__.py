"""Run fine-tuned encoder models in production, from gated ONNX bundles.

    import assay

    judge = assay.load_classifier("bundles/osmosis")
    judge.predict("What causes rain?", "Rain forms when ...").label
    scorer = assay.load_scorer("bundles/maxwell")
    scorer.score("Is learning ...?", scale=(0, 100))

The package needs numpy, tokenizers and an ONNX Runtime. `assay_export` makes the bundles.
"""

from importlib import import_module
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

if TYPE_CHECKING:
    from assay import aio, annotate, integrations
    from assay.loading import load, load_classifier, load_scorer
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
    "annotate",
    "integrations",
    "load",
    "load_classifier",
    "load_scorer",
]

# Imported on first use: numpy takes most of the time of a full import, and `assay --help` does not need it.
_MODULES = {
    "Classifier": "assay.models.classifier",
    "Prediction": "assay.models.classifier",
    "Scorer": "assay.models.scorer",
    "load": "assay.loading",
    "load_classifier": "assay.loading",
    "load_scorer": "assay.loading",
}
_SUBMODULES = ("aio", "annotate", "integrations")


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("assay")
    elif name in _MODULES or name in _SUBMODULES:
        from assay.ort.installation import check

        check()  # here and not in load alone, so that `from assay import load` fails early
        value = getattr(import_module(_MODULES[name]), name) if name in _MODULES else import_module(f"assay.{name}")
    else:
        raise AttributeError(f"module 'assay' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
