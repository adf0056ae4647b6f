"""Local attention in blocks against PyTorch, at lengths where the number of blocks and their padding change."""

from pathlib import Path

import pytest

from assay_export.checkpoint.configs.config_dialects import to_transformers_4
from assay_export.graphs.architectures.modernbert.local_attention import BLOCK_ROWS
from assay_export.graphs.writer import Dialect
from tests.export import tiny

LENGTHS = sorted({n * BLOCK_ROWS + d for n in (1, 2, 3) for d in (-1, 0, 1, 2)} | {7, 200, 5 * BLOCK_ROWS + 3})


@pytest.mark.parametrize("window", [2, 16, 128, 300, 2000])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_blocks_answer_as_one_square_does(window: int, pooling: str, tmp_path: Path) -> None:
    config = tiny.modernbert_config(
        local_attention=window, classifier_pooling=pooling, max_position_embeddings=700, global_attn_every_n_layers=2
    )
    graphs = tiny.Graphs(tiny.model(config), to_transformers_4(config), tmp_path)
    for length in LENGTHS:
        for batch in (1, 3):
            assert graphs.delta(Dialect.CPU, tiny.token_ids(batch, length)) < tiny.ROUNDING, (length, batch)
