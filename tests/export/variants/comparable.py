"""Which variants this machine can export: those whose answers it can compare with PyTorch's."""

import pytest

from assay_export.variants.table import find_problem

__all__ = ["comparable", "needs_exact_products"]

needs_exact_products = pytest.mark.skipif(find_problem("int8_ort") is not None, reason=str(find_problem("int8_ort")))
"""For tests whose int8 products ONNX Runtime's own operators compute."""


def comparable(*variants: str) -> list[str]:
    """Return those of `variants` that can be exported here, in order."""
    return [name for name in variants if find_problem(name) is None]
