"""The architectures whose graphs are authored by hand; any other goes through optimum (see optimum_road).

Each module has ARCHITECTURE (config.json's model_type), read_config(config) -> settings, and
author(net, settings, weights) -> onnx_ir.Model.
"""

from collections.abc import Mapping
from types import ModuleType

from assay_export.graphs.architectures import deberta_v2, modernbert

AUTHORED: Mapping[str, ModuleType] = {module.ARCHITECTURE: module for module in (deberta_v2, modernbert)}
