"""The remedies of one layer for the kernels: their estimated errors, and which of them are kept."""

import itertools
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from assay.ort import kernels
from assay_export.graphs.net import Net
from assay_export.graphs.weights import WeightFile
from assay_export.graphs.writer import Array, Dialect
from assay_export.variants.int8.kernels.graph import KernelInt8
from assay_export.variants.int8.kernels.remedies import attention_line, embedding_line, estimate_error, linear_line
from assay_export.variants.int8.kernels.remedies import quantise_rows_in_groups as quantise
from assay_export.variants.int8.linear import Recipe, quantise_columns
from assay_export.variants.int8.statistics import LayerStatistics
from tests.export.tiny import session as open_session

WIDTH, OUTLIERS = 320, (5, 200)
GENERATOR = np.random.default_rng(0)
WEIGHT = GENERATOR.normal(size=(WIDTH, 80)).astype(np.float32) * 0.1
CALM = GENERATOR.normal(size=(60, WIDTH)).astype(np.float32)
WITH_OUTLIERS = CALM * np.where(np.isin(np.arange(WIDTH), OUTLIERS), 80, 1).astype(np.float32)
SMOOTHING = np.where(np.isin(np.arange(WIDTH), OUTLIERS), 9, 1).astype(np.float32)

RECIPES = {
    "plain": Recipe(),
    "groups": Recipe(group=64),
    "smoothed": Recipe(smoothing=SMOOTHING),
    "columns": Recipe(columns=OUTLIERS),
    "one column": Recipe(columns=OUTLIERS[:1]),
    "all": Recipe(smoothing=SMOOTHING, columns=OUTLIERS[1:], group=128),
}


def layer(tokens: Array, weight: Array = WEIGHT, name: str = "layer") -> LayerStatistics:
    return LayerStatistics(name, weight, None, np.abs(tokens).max(axis=0), tokens, tokens[:10])


def multiply(tokens: Array, recipe: Recipe) -> Array:
    """The product as the kernels compute it, in numpy: integers, and the outlier columns in float32."""
    x, w = tokens, WEIGHT
    if recipe.smoothing is not None:
        x, w = x / recipe.smoothing, w * recipe.smoothing[:, None]
    outliers = np.isin(np.arange(WIDTH), recipe.columns)
    values, scale = quantise_columns(np.where(outliers[:, None], 0, w))
    product: Array = quantise(np.where(outliers, 0, x), recipe.group) @ (values * scale)
    return product + x[:, outliers] @ w[outliers]


def measure_error(product: Array, tokens: Array) -> float:
    exact = tokens @ WEIGHT
    return float(np.linalg.norm(product - exact) / np.linalg.norm(exact))


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("tokens", [CALM, WITH_OUTLIERS], ids=["calm", "outliers"])
def test_the_estimated_error_is_that_of_the_quantised_product(name: str, tokens: Array) -> None:
    measured = measure_error(multiply(tokens, RECIPES[name]), tokens)
    assert estimate_error(tokens, WEIGHT, RECIPES[name]) == pytest.approx(measured, rel=0.1)


@pytest.mark.skipif(kernels.find_problem() is not None, reason="the CPU kernels are not installed")
@pytest.mark.parametrize("name", RECIPES)
def test_the_operator_computes_the_recipe(name: str, tmp_path: Path) -> None:
    recipe = RECIPES[name]
    path = tmp_path / "layer.onnx"
    with WeightFile(tmp_path / "weights") as weights:
        net = Net("layer", Dialect.KERNELS, weights, KernelInt8({"layer": recipe}))
        x = net.builder.input("x", ir.DataType.FLOAT, ["tokens", WIDTH])
        ir.save(net.finish(net.linear(x, "layer", WEIGHT, None)), path)
    tokens = WITH_OUTLIERS if recipe.smoothing is None else WITH_OUTLIERS / SMOOTHING  # as its producer would
    (answer,) = open_session(path, Dialect.KERNELS).run(["logits"], {"x": tokens})
    np.testing.assert_allclose(answer, multiply(WITH_OUTLIERS, recipe), rtol=1e-4, atol=1e-3)


def test_without_tokens_of_any_size_the_error_is_zero() -> None:
    assert estimate_error(np.zeros((3, WIDTH), np.float32), WEIGHT, Recipe()) == 0.0
    assert estimate_error(CALM, WEIGHT, Recipe("fp32")) == 0.0


@pytest.mark.parametrize("tokens", [CALM, WITH_OUTLIERS], ids=["calm", "outliers"])
@pytest.mark.parametrize("absorbable", [False, True])
def test_no_remedy_is_slower_than_one_that_is_as_exact(tokens: Array, absorbable: bool) -> None:
    remedies = linear_line(layer(tokens), absorbable).remedies
    assert remedies[-1].recipe.kind == "fp32"
    assert len(remedies) > 2
    for faster, slower in itertools.pairwise(remedies):
        assert faster.time <= slower.time
        assert faster.error > slower.error


def test_the_first_remedy_is_plain_int8_and_costs_what_the_others_are_compared_with() -> None:
    first = linear_line(layer(CALM), absorbable=False).remedies[0]
    assert first.recipe == Recipe()
    assert first.time == WEIGHT.size


def test_the_columns_in_float32_are_the_outlier_channels() -> None:
    with_columns = [r for r in linear_line(layer(WITH_OUTLIERS), absorbable=False).remedies if r.recipe.columns]
    assert with_columns
    assert all(set(OUTLIERS) <= set(remedy.recipe.columns) for remedy in with_columns)
    plain = estimate_error(WITH_OUTLIERS, WEIGHT, Recipe())
    assert with_columns[0].error < plain / 3


def test_columns_in_float32_hardly_help_where_no_channel_stands_out() -> None:
    plain, *others = linear_line(layer(CALM), absorbable=False).remedies
    errors = [remedy.error for remedy in others if remedy.recipe.columns and not remedy.recipe.group]
    assert all(error > plain.error / 2 for error in errors)


def test_smoothing_is_used_only_where_the_producer_absorbs_it() -> None:
    absorbed = linear_line(layer(WITH_OUTLIERS), absorbable=True).remedies[0]
    assert absorbed.recipe.smoothing is not None
    assert absorbed.recipe.absorbed
    assert absorbed.error < estimate_error(WITH_OUTLIERS, WEIGHT, Recipe()) / 2
    for remedy in linear_line(layer(WITH_OUTLIERS), absorbable=False).remedies:
        assert remedy.recipe.smoothing is None


def test_a_classifier_with_few_labels_stays_in_float32() -> None:
    remedies = linear_line(layer(CALM, WEIGHT[:, :5]), absorbable=False).remedies
    assert [remedy.recipe.kind for remedy in remedies] == ["fp32"]


def test_a_layer_that_runs_once_per_text_costs_less() -> None:
    per_token = linear_line(LayerStatistics("a", WEIGHT, None, np.abs(CALM).max(axis=0), CALM, CALM[:10]), False)
    per_text = linear_line(LayerStatistics("b", WEIGHT, None, np.abs(CALM).max(axis=0), CALM, CALM), False)
    assert per_text.remedies[0].time < per_token.remedies[0].time / 10


def test_attention_and_embeddings_have_an_exact_remedy_that_takes_more_time() -> None:
    for line, kind in ((attention_line("a", 64), "fp32"), (embedding_line("e", 64), "fp16")):
        int8, exact = line.remedies
        assert (int8.recipe.kind, exact.recipe.kind) == ("int8", kind)
        assert exact.error == 0 < int8.error
        assert exact.time > int8.time
        line.damage = 0.5
        assert line.damage_of(int8) == 0.5
        assert line.damage_of(exact) == 0.0


@pytest.mark.parametrize("group", [0, 64, 100, WIDTH])
def test_a_group_of_channels_has_its_own_scale(group: int) -> None:
    rounded = quantise(WITH_OUTLIERS, group)
    assert rounded.shape == WITH_OUTLIERS.shape
    size = group or WIDTH
    for start in range(0, WIDTH, size):
        part = WITH_OUTLIERS[:, start : start + size]
        step = np.abs(part).max(axis=1, keepdims=True) / 127
        assert (np.abs(rounded[:, start : start + size] - part) <= step * 0.5001).all()
