"""Exports fine-tuned encoder checkpoints to gated ONNX bundles that the `assay` runtime answers from.

`assay_export.export(source, target)` does it all. It is imported when first asked for: it brings torch along, which
the command line's --help need not wait for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assay_export.exporter import export

__all__ = ["export"]


def __getattr__(name: str) -> Any:
    if name == "export":
        from assay_export.exporter import export

        return export
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
