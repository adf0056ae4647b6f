"""The table of variants: the name of each, and the function that writes its graphs and checks them at their gate."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from assay_export.variants.fp16 import variant as fp16
from assay_export.variants.int8.kernels import variant as kernels
from assay_export.variants.int8.providers import variant as providers
from assay_export.variants.int8.providers.schemes import SCHEMES
from assay_export.variants.material import Material

__all__ = ["WRITERS"]

WRITERS: Mapping[str, Callable[[Material], dict[str, Any]]] = {
    "int8": kernels.write,
    **{scheme.variant: functools.partial(providers.write, scheme) for scheme in SCHEMES},
    "fp16": fp16.write,
}
"""Each function returns the manifest's graphs of its variant by dialect. It raises ParityError if a graph does not pass
its gate."""
