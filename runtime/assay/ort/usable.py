"""Which of a bundle's variants and dialects this process can run on its CPU, and why not the others."""

from collections.abc import Iterable

from assay.ort import kernels

__all__ = ["find_unusable", "find_unusable_dialects"]


def find_unusable(variants: Iterable[str]) -> dict[str, str]:
    """Return the variants and dialects that cannot be used here, each with the reason and what to do.

    Args:
        variants: Those of the bundle. Only what they need is looked at.
    """
    names = set(variants)
    unusable = find_unusable_dialects(names)
    if "int8_ort" in names:
        from assay.ort import saturation  # imports numpy, which assay.loading imports while it hashes files

        if problem := saturation.find_problem():
            unusable["int8_ort"] = problem
    return unusable


def find_unusable_dialects(variants: Iterable[str]) -> dict[str, str]:
    """Return that part of `find_unusable` which needs no ONNX Runtime: whether the CPU kernels are missing."""
    problem = kernels.find_problem() if "int8" in set(variants) else None
    return {"kernels": problem} if problem else {}
