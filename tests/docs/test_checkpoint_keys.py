"""docs/guide/checkpoints.md names every key of config.json that an authored graph reads."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.conftest import ROOT

pytest.importorskip("torch", reason="the keys are those that the export reads")

from assay_export.checkpoint.configs.config_dialects import to_transformers_4
from assay_export.graphs.architectures import AUTHORED
from assay_export.graphs.architectures.bert.config import FAMILY
from tests.export import tiny

PAGE = (ROOT / "docs/guide/checkpoints.md").read_text(encoding="utf-8")
CONFIGS = {
    "deberta-v2": tiny.deberta_config(conv_kernel_size=3, conv_act="tanh"),
    "modernbert": to_transformers_4(tiny.modernbert_config()),
    **{name: tiny.distilbert_config() if name == "distilbert" else tiny.bert_config(name) for name in FAMILY},
}


class Recording(Mapping[str, Any]):
    """A config that remembers which keys were read."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.keys_read: set[str] = set()
        self._values = values

    def __getitem__(self, key: str) -> Any:
        self.keys_read.add(key)
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@pytest.mark.parametrize("model_type", CONFIGS)
def test_every_key_that_an_authored_graph_reads_is_in_the_table(model_type: str) -> None:
    config = Recording(CONFIGS[model_type])
    AUTHORED[model_type].read_config(config)
    assert len(config.keys_read) > 8
    assert [key for key in sorted(config.keys_read) if f"`{key}`" not in PAGE] == []
