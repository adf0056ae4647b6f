"""Products with tables of positions in 8 bits are close to the exact ones, even if queries and keys differ in size."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from assay_export.checkpoint.configs.config_dialects import to_transformers_4
from assay_export.graphs import cpu_session
from assay_export.graphs.architectures.deberta_v2 import graph as deberta_v2
from assay_export.graphs.architectures.deberta_v2.relative_positions import BLOCK_ROWS
from assay_export.graphs.net import Net
from assay_export.graphs.weights import WeightFile
from assay_export.graphs.writer import Array, Dialect
from assay_export.variants.int8 import statistics
from assay_export.variants.int8.linear import Recipe
from assay_export.variants.int8.providers import damage, graph, positions
from assay_export.variants.int8.statistics import TableStatistics
from tests.export import tiny
from tests.export.variants.comparable import needs_exact_products

TERMS = [["c2p"], ["p2c"], ["c2p", "p2c"]]
GENERATOR = np.random.default_rng(0)
HEADS, ROWS, SIZE = 4, 17, 8
TABLE = GENERATOR.normal(size=(HEADS, ROWS, SIZE)).astype(np.float32)


class Case:
    """A small DeBERTa whose layers are float32, except for the tables of positions that a test puts in int8."""

    def __init__(self, folder: Path, terms: list[str]) -> None:
        config = tiny.deberta_config(
            pos_att_type=terms, position_buckets=32, max_position_embeddings=512, num_hidden_layers=3
        )
        self.settings = deberta_v2.read_config(to_transformers_4(config))
        self.weights = {name: t.detach().numpy() for name, t in tiny.model(config).state_dict().items()}
        self.folder = folder
        feeds = [{"input_ids": tiny.token_ids(1, length)} for length in (5, 60, BLOCK_ROWS + 9)]
        seen = statistics.collect(deberta_v2, self.settings, self.weights, feeds, folder)
        absorbable = deberta_v2.absorbable(self.settings)
        self.exact: dict[str, Recipe] = {name: Recipe("fp32") for name in seen}
        self.int8 = {
            name: positions.list_candidates(table, name in absorbable)[0]
            for name, table in seen.items()
            if isinstance(table, TableStatistics)
        }

    def logits(self, recipes: dict[str, Recipe], input_ids: Array) -> Array:
        path = self.folder / "model.onnx"
        graph.save(deberta_v2, self.settings, self.weights, self.exact | recipes, path)
        return np.asarray(cpu_session.load(path).run(["logits"], {"input_ids": input_ids})[0])


@pytest.mark.parametrize("terms", TERMS)
def test_int8_positions_move_logits_a_little_at_every_number_of_blocks(terms: list[str], tmp_path: Path) -> None:
    case = Case(tmp_path, terms)
    recipes = {name: recipe for name, (recipe, _) in case.int8.items()}
    assert len(recipes) == 2  # the last of three layers reads one row, in float32
    for length in (1, 7, BLOCK_ROWS, BLOCK_ROWS + 1, 2 * BLOCK_ROWS + 3):
        ids = tiny.token_ids(1, length)
        delta = np.abs(case.logits(recipes, ids) - case.logits({}, ids)).max()
        assert 0 < delta < 0.05 or (length == 1 and delta < 0.05), length  # logits are of order one


@needs_exact_products
def test_the_simulated_arithmetic_has_the_damage_of_the_operators(tmp_path: Path) -> None:
    case, ids = Case(tmp_path, ["c2p", "p2c"]), tiny.token_ids(16, 50)
    recipes = {name: recipe for name, (recipe, _) in case.int8.items()}
    # Balancing changes nothing in float32, so the exact answers are the same with and without it.
    ranked = damage.rank(deberta_v2, case.settings, case.weights, case.exact | recipes, {"input_ids": ids}, tmp_path)
    for name, recipe in recipes.items():
        moved = np.abs(case.logits({name: recipe}, ids) - case.logits({}, ids)).mean()
        assert ranked[name] == pytest.approx(moved, rel=0.3)  # means over eighty logits, each with its own error
    assert all(ranked[name] < tiny.ROUNDING for name in case.exact if name not in recipes)


def test_queries_far_larger_than_keys_are_balanced_before_they_share_a_scale() -> None:
    scale = np.repeat([100.0, 0.1], HEADS // 2).astype(np.float32)
    table = TABLE / scale[:, None, None]  # so that both have scores of the same size
    sample = GENERATOR.normal(size=(40, HEADS, SIZE)).astype(np.float32) * scale[:, None]
    low, high = np.minimum(sample.min(axis=2), 0), np.maximum(sample.max(axis=2), 0)
    scores = np.abs(np.einsum("thd,hrd->thr", sample, table)).max(axis=(1, 2))
    seen = TableStatistics("positions", table, low, high, scores, sample)

    (plain, plain_error), (exact, exact_error) = positions.list_candidates(seen, absorbable=False)
    (balanced, error), _ = positions.list_candidates(seen, absorbable=True)
    assert plain.smoothing is None
    assert balanced.smoothing is not None
    assert balanced.smoothing.prod() == pytest.approx(1)
    assert plain_error > 0.5
    assert error < 0.05
    assert (exact.kind, exact_error) == ("fp32", 0.0)


def test_scores_beyond_the_reach_saturate_and_keep_their_sign(tmp_path: Path) -> None:
    x = GENERATOR.normal(size=(1, HEADS, 6, SIZE)).astype(np.float32)
    exact = x @ TABLE.transpose(0, 2, 1)
    span = max(x.max(), 0) - min(x.min(), 0)
    reach = float(np.abs(exact).max() / 4 / span)
    answer = multiply_with_table(x, reach, tmp_path)
    limit = reach * span
    assert np.abs(answer).max() <= limit * 1.02
    beyond = np.abs(exact) > 1.1 * limit
    assert beyond.any()
    np.testing.assert_array_equal(np.sign(answer[beyond]), np.sign(exact[beyond]))
    np.testing.assert_allclose(np.abs(answer[beyond]), limit, rtol=0.02)


def test_inputs_of_zeros_result_in_zeros(tmp_path: Path) -> None:
    assert not multiply_with_table(np.zeros((1, HEADS, 3, SIZE), np.float32), 1.0, tmp_path).any()
    nothing = np.zeros((3, HEADS), np.float32)
    seen = TableStatistics(
        "positions", TABLE, nothing, nothing, np.zeros(3, np.float32), np.zeros((5, HEADS, SIZE), np.float32)
    )
    (recipe, error), _ = positions.list_candidates(seen, absorbable=True)
    assert recipe.score_reach > 0
    assert error == 0


def multiply_with_table(x: Array, score_reach: float, folder: Path) -> Any:
    """Multiply x [1, heads, rows, size] with all of TABLE by Int8TableProducts, in ONNX Runtime."""
    with WeightFile(folder / "weights") as weights:
        net = Net("products", Dialect.CPU, weights)
        value = net.builder.input("x", ir.DataType.FLOAT, ["batch", HEADS, "sequence", SIZE])
        prepared = positions.Int8TableProducts(net, value, "positions", TABLE, score_reach)
        scores = prepared.multiply(prepared.x, prepared.table)
        ir.save(net.finish(prepared.sum([scores])), folder / "products.onnx")
    return cpu_session.load(folder / "products.onnx").run(None, {"x": x})[0]
