"""The table of variants: the name of each, the function that writes its graphs and checks them at their gate, and what
this machine lacks for that."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from assay.ort import kernels as cpu_kernels
from assay.ort import saturation
from assay_export.variants.fp16 import variant as fp16
from assay_export.variants.int8.kernels import variant as kernels
from assay_export.variants.int8.providers import variant as providers
from assay_export.variants.int8.providers.schemes import SCHEMES
from assay_export.variants.material import Material

__all__ = ["WRITERS", "find_problem"]

WRITERS: Mapping[str, Callable[[Material], dict[str, Any]]] = {
    "int8": kernels.write,
    **{scheme.variant: functools.partial(providers.write, scheme) for scheme in SCHEMES},
    "fp16": fp16.write,
}
"""Each function returns the manifest's graphs of its variant by dialect. It raises ParityError if a graph does not pass
its gate."""


def find_problem(variant: str) -> str | None:
    """Return why a variant's answers cannot be compared with PyTorch's on this machine and what to do, or None."""
    if variant == "int8" and (problem := cpu_kernels.find_problem()):
        return f"int8 needs the CPU kernels, to compare its answers with PyTorch's: {problem}"
    if variant == "int8_ort" and saturation.find_problem():
        return (
            "int8_ort cannot be compared with PyTorch on this CPU, which has no VNNI: ONNX Runtime's int8 products "
            "saturate here, so the answers are not those of a CPU with exact products; export int8_ort on a CPU with "
            "VNNI, or the variant int8 here"
        )
    return None
