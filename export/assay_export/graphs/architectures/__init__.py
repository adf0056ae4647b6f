"""The architectures whose graphs are authored by hand. All others are traced by optimum (graphs/traced.py).

Each has a folder, whose module `graph` is an `assay_export.graphs.architecture.Architecture`.
"""

from collections.abc import Mapping
from types import ModuleType

from assay_export.graphs.architectures.bert import graph as bert
from assay_export.graphs.architectures.deberta_v2 import graph as deberta_v2
from assay_export.graphs.architectures.modernbert import graph as modernbert

__all__ = ["AUTHORED"]

AUTHORED: Mapping[str, ModuleType] = {
    **{module.ARCHITECTURE: module for module in (deberta_v2, modernbert)},
    **dict.fromkeys(bert.FAMILY, bert),
}
"""By model_type in config.json."""
