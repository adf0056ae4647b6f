"""DeBERTa's relative scores in blocks against PyTorch, at lengths where the blocks and their padding change."""

from pathlib import Path

import pytest

from assay_export.checkpoint.configs.config_dialects import to_transformers_4
from assay_export.graphs.architectures.deberta_v2.relative_positions import BLOCK_ROWS
from assay_export.graphs.writer import Dialect
from tests.export import tiny

LENGTHS = sorted({n * BLOCK_ROWS + d for n in (1, 2, 3) for d in (-1, 0, 1, 2)} | {5, 100, 7 * BLOCK_ROWS + 5})


@pytest.mark.parametrize("terms", [["c2p"], ["p2c"], ["c2p", "p2c"]])
@pytest.mark.parametrize("buckets", [-1, 32, 256])
def test_blocks_answer_as_pytorch_does(terms: list[str], buckets: int, tmp_path: Path) -> None:
    config = tiny.deberta_config(pos_att_type=terms, position_buckets=buckets, max_position_embeddings=512)
    graphs = tiny.Graphs(tiny.model(config), to_transformers_4(config), tmp_path)
    for length in LENGTHS:
        for batch in (1, 3):
            assert graphs.delta(Dialect.CPU, tiny.token_ids(batch, length)) < tiny.ROUNDING, (length, batch)
