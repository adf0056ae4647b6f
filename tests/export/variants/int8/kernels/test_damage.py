"""The damage of each layer, measured in one graph, is that of a graph in which this layer alone is in int8."""

from pathlib import Path

import numpy as np
import pytest

from assay.ort import kernels
from assay_export.checkpoint.configs.config_dialects import to_transformers_4
from assay_export.graphs.kernels.packing import pack_rows
from assay_export.variants.int8.linear import Recipe
from tests.export import tiny
from tests.export.variants.int8.kernels.tiny_int8 import EMBEDDINGS, Checkpoint

pytestmark = pytest.mark.skipif(kernels.find_problem() is not None, reason="the CPU kernels are not installed")

CONFIGS = {
    "deberta": tiny.deberta_config(),
    "modernbert": to_transformers_4(tiny.modernbert_config()),
    "bert": tiny.bert_config(),
    "roberta": tiny.bert_config("roberta"),
    "electra": tiny.bert_config("electra"),
}
FEED = pack_rows([tiny.token_ids(1, length)[0] for length in (3, 17, 30, 9)])


@pytest.fixture(params=CONFIGS)
def checkpoint(request: pytest.FixtureRequest, tmp_path: Path) -> Checkpoint:
    return Checkpoint(CONFIGS[request.param], tmp_path)


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(columns=(3, 9))], ids=["plain", "columns"])
def test_the_damage_of_a_layer_is_that_of_the_graph_with_this_layer_alone_in_int8(
    recipe: Recipe, checkpoint: Checkpoint
) -> None:
    damage = checkpoint.measure(dict.fromkeys(checkpoint.names, recipe), FEED)
    assert list(damage) == checkpoint.names
    exact = checkpoint.list_exact()
    baseline = checkpoint.answer(exact, FEED)
    for name in checkpoint.names:
        alone = checkpoint.answer(exact | {name: recipe}, FEED)
        assert damage[name] > 0
        assert damage[name] == pytest.approx(float(np.abs(alone - baseline).mean()), rel=1e-3, abs=1e-5)


def test_a_layer_that_stays_in_float32_does_no_damage(checkpoint: Checkpoint) -> None:
    name = next(name for name in checkpoint.names if name != EMBEDDINGS)
    damage = checkpoint.measure(dict.fromkeys(checkpoint.names, Recipe()) | {name: Recipe("fp32")}, FEED)
    assert [layer for layer, by in damage.items() if by == 0.0] == [name]


def test_absorbed_smoothing_changes_nothing_in_float32(tmp_path: Path) -> None:
    checkpoint = Checkpoint(CONFIGS["modernbert"], tmp_path)
    name = "layers.1.attn.Wqkv"
    assert name in checkpoint.architecture.absorbable(checkpoint.settings)
    smoothing = np.linspace(0.5, 4, 32, dtype=np.float32)
    recipes = checkpoint.list_exact()
    np.testing.assert_allclose(
        checkpoint.answer(recipes | {name: Recipe("fp32", smoothing, absorbed=True)}, FEED),
        checkpoint.answer(recipes, FEED),
        rtol=0,
        atol=tiny.ROUNDING,
    )


def test_progress_advances_once_for_each_layer(checkpoint: Checkpoint) -> None:
    steps: list[None] = []
    checkpoint.measure(dict.fromkeys(checkpoint.names, Recipe()), FEED, advance=lambda: steps.append(None))
    assert len(steps) == len(checkpoint.names)
