"""The thresholds of a multi-label bundle: a row has every label whose score reaches that label's threshold."""

import math
from collections.abc import Mapping
from typing import Any

from assay.bundle.manifest import Manifest
from assay.errors import InputError
from assay.inputs.validation import describe

__all__ = ["DEFAULT_THRESHOLD", "Threshold", "check_threshold"]

DEFAULT_THRESHOLD = 0.5

Threshold = float | Mapping[str, float]
"""One threshold for all labels, or one by label; a label without one has DEFAULT_THRESHOLD."""


def check_threshold(threshold: object, manifest: Manifest) -> tuple[float, ...] | None:
    """Return the threshold of each label in logit order, or None for a bundle that is not multi-label.

    Args:
        threshold: A Threshold, or None for the default.
        manifest: That of the bundle.

    Raises:
        InputError: It is not a threshold from 0 to 1, names a label that the bundle lacks, or the bundle is not
            multi-label.
    """
    if not manifest.is_multi_label:
        if threshold is None:
            return None
        has = "one label per row" if manifest.task == "classification" else "a score and no labels"
        raise InputError(
            f"threshold is {describe(threshold)}, expected none: it is for multi-label bundles, this one has {has}"
        )
    labels = manifest.labels
    if not isinstance(threshold, Mapping):
        value = DEFAULT_THRESHOLD if threshold is None else _check_number(threshold, "threshold")
        return (value,) * len(labels)
    unknown = next((name for name in threshold if name not in labels), None)
    if unknown is not None:
        found = repr(unknown)[:80] if isinstance(unknown, str) else describe(unknown)
        raise InputError(f"threshold is for the label {found}, expected of this bundle {', '.join(labels)[:300]}")
    given = {name: _check_number(value, f"threshold of {name!r:.80}") for name, value in threshold.items()}
    return tuple(given.get(label, DEFAULT_THRESHOLD) for label in labels)


def _check_number(value: Any, where: str) -> float:
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:  # a number of numpy, which is not imported here
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        number = isinstance(value, float) and not math.isfinite(value)
        found = str(value) if number else describe(value)
        raise InputError(f"{where} is {found}, expected a number from 0 to 1")
    return float(value)
