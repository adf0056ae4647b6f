"""Exports fine-tuned encoder checkpoints to gated ONNX bundles, from which the `assay` runtime answers.

    import assay_export

    assay_export.export("path/to/checkpoint", "path/to/bundle", variants=["fp32", "int8"])

`export` is imported on first use, because it needs torch; the command line's --help must not wait for that.
"""

from typing import TYPE_CHECKING, Any

from assay.ort.installation import disable_telemetry
from assay_export.errors import ExportError

if TYPE_CHECKING:
    from assay_export.exporter import export

__all__ = ["ExportError", "export"]

disable_telemetry()  # several modules and libraries below import onnxruntime


def __getattr__(name: str) -> Any:
    if name == "export":
        from assay_export.exporter import export

        return export
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
