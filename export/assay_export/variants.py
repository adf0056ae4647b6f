"""The variants that a bundle may have beside fp32, each with the function that writes its graphs and gates them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .bundle_files import graph_entry
from .fp16 import variant as fp16
from .int8 import variant as int8
from .material import Material
from .net import Dialect


def _int8(material: Material) -> dict[str, Any]:
    file = "onnx/model_int8.onnx"
    fitted = int8.write(
        material.architecture,
        material.settings,
        material.loaded,
        material.tokens,
        material.head,
        material.rows,
        material.max_length,
        material.limits,
        material.folder / file,
        material.progress,
    )
    return {"cpu": graph_entry(Dialect.CPU, file, [f"{file}_data"]) | fitted}


#: By name: from the material to the manifest's graphs by dialect. Raises ParityError where the gate does not hold.
BESIDE_FP32: Mapping[str, Callable[[Material], dict[str, Any]]] = {"int8": _int8, "fp16": fp16.write}
