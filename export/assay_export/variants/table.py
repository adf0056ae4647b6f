"""The variants that a bundle may have beside fp32, each with the function that writes its graphs and gates them."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from assay_export.bundle.writing import graph_entry
from assay_export.variants.fp16 import variant as fp16
from assay_export.variants.int8 import variant as int8
from assay_export.variants.int8.schemes import GRAPH_OPTIMIZATION, SCHEMES, Scheme
from assay_export.variants.material import Material


def _int8(scheme: Scheme, material: Material) -> dict[str, Any]:
    file = f"onnx/model_{scheme.variant}.onnx"
    fitted = int8.write(
        scheme,
        material.calibration,
        material.architecture,
        material.settings,
        material.loaded.reference.weights(),
        material.head,
        material.limits,
        material.folder / file,
        material.progress,
    )
    entry = graph_entry(scheme.dialect, file, [f"{file}_data"])
    return {scheme.dialect.value: entry | {"graph_optimization": GRAPH_OPTIMIZATION} | fitted}


#: By name: from the material to the manifest's graphs by dialect. Raises ParityError where the gate does not hold.
BESIDE_FP32: Mapping[str, Callable[[Material], dict[str, Any]]] = {
    **{scheme.variant: functools.partial(_int8, scheme) for scheme in SCHEMES},
    "fp16": fp16.write,
}
