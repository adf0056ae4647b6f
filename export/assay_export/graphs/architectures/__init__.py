"""The architectures whose graphs are authored by hand. All others are traced by optimum (graphs/traced.py).

Each module is an `assay_export.graphs.architecture.Architecture`.
"""

from collections.abc import Mapping
from types import ModuleType

from assay_export.graphs.architectures import bert, deberta_v2, modernbert

__all__ = ["AUTHORED"]

AUTHORED: Mapping[str, ModuleType] = {
    **{module.ARCHITECTURE: module for module in (deberta_v2, modernbert)},
    **dict.fromkeys(bert.FAMILY, bert),
}
"""By model_type in config.json."""
