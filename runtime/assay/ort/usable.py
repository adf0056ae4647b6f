"""Which of a bundle's variants and dialects this process can run on its CPU, and why not the others."""

from assay.ort import kernels, saturation

__all__ = ["find_unusable"]


def find_unusable() -> dict[str, str]:
    """Return the variants and dialects that cannot be used here, each with the reason and what to do."""
    unusable = {}
    if problem := kernels.find_problem():
        unusable["kernels"] = problem
    if problem := saturation.find_problem():
        unusable["int8_ort"] = problem
    return unusable
