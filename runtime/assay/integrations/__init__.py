"""Adapters to other libraries: ray, datasets, pandas, polars, spark, sklearn, trl, deita, distilabel, datatrove.

    import assay
    assay.integrations.pandas.annotate(frame["instruction"], "bundles/maxwell")

Each module needs its library, and is imported on first use. docs/guide/integrations.md has an example of each.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assay.integrations import datasets, datatrove, deita, distilabel, pandas, polars, ray, sklearn, spark, trl

__all__ = ["datasets", "datatrove", "deita", "distilabel", "pandas", "polars", "ray", "sklearn", "spark", "trl"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'assay.integrations' has no attribute {name!r}")
    return import_module(f"assay.integrations.{name}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
