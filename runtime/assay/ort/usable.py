"""Which of a bundle's variants and dialects this process can run on its CPU, and why not the others."""

from collections.abc import Iterable

from assay.ort import kernels, saturation

__all__ = ["find_unusable"]


def find_unusable(variants: Iterable[str]) -> dict[str, str]:
    """Return the variants and dialects that cannot be used here, each with the reason and what to do.

    Args:
        variants: Those of the bundle. Only what they need is looked at.
    """
    names = set(variants)
    unusable = {}
    if "int8" in names and (problem := kernels.find_problem()):
        unusable["kernels"] = problem
    if "int8_ort" in names and (problem := saturation.find_problem()):
        unusable["int8_ort"] = problem
    return unusable
