"""Linear layers with explicit quantisation: compared with float32 in ONNX Runtime, and the choice of their scales."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper

from assay_export.graphs import cpu_session
from assay_export.graphs.net import Net
from assay_export.graphs.weights import WeightFile
from assay_export.graphs.writer import Array, Dialect
from assay_export.variants.int8.linear import Recipe
from assay_export.variants.int8.providers import qdq
from assay_export.variants.int8.providers.static_scales import CLIPS, fit_static
from assay_export.variants.int8.smoothing import list_candidates
from assay_export.variants.int8.statistics import LayerStatistics, _LayerGatherer

GENERATOR = np.random.default_rng(0)
WEIGHT = GENERATOR.normal(size=(96, 40)).astype(np.float32) * 0.1
BIAS = GENERATOR.normal(size=40).astype(np.float32)
CALM = GENERATOR.normal(size=(2, 9, 96)).astype(np.float32)
OUTLIERS = CALM * np.where(np.isin(np.arange(96), (5, 60)), 80, 1).astype(np.float32)
SMOOTHING = np.where(np.isin(np.arange(96), (5, 60)), 9, 1).astype(np.float32)

RECIPES = {
    "plain": Recipe(),
    "smoothed": Recipe(smoothing=SMOOTHING),
    "columns": Recipe("columns", columns=(5, 60)),
    "fp32": Recipe("fp32"),
}


def make_statistics(x: Array, weight: Array = WEIGHT) -> LayerStatistics:
    """Return the statistics of a layer whose inputs in calibration were `x` [batch, sequence, in]."""
    rows = x.reshape(-1, x.shape[-1])
    return LayerStatistics("layer", weight, None, np.abs(rows).max(axis=0), rows, rows[:1])


def write_layer(recipe: Recipe, bias: Array | None, folder: Path, weight: Array = WEIGHT) -> Path:
    path = folder / "layer.onnx"
    with WeightFile(folder / "weights") as weights:
        net = Net("layer", Dialect.PORTABLE, weights)
        x = net.builder.input("x", ir.DataType.FLOAT, ["batch", "sequence", len(weight)])
        ir.save(net.finish(qdq.write(net, x, "layer", weight, bias, recipe)), path)
    return path


def run(recipe: Recipe, x: Array, bias: Array | None, folder: Path, weight: Array = WEIGHT) -> Array:
    return np.asarray(cpu_session.load(write_layer(recipe, bias, folder, weight)).run(None, {"x": x})[0])


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("bias", [None, BIAS], ids=["no bias", "bias"])
def test_every_recipe_is_close_to_the_float32_product(name: str, bias: Array | None, tmp_path: Path) -> None:
    recipe = RECIPES[name] if name == "fp32" else fit_static(make_statistics(CALM), RECIPES[name])[0]
    exact = CALM @ WEIGHT + (0 if bias is None else bias)
    delta = run(recipe, CALM, bias, tmp_path) - exact
    assert np.linalg.norm(delta) / np.linalg.norm(exact) < (1e-6 if name == "fp32" else 0.04)


def test_outlier_channels_break_the_plain_recipe_and_the_other_recipes_tolerate_them(tmp_path: Path) -> None:
    others = OUTLIERS.copy()
    others[..., [5, 60]] = 0  # the other channels, which the scale of the outliers rounds away
    exact = others @ WEIGHT
    errors = {}
    for name in ("plain", "smoothed", "columns"):
        recipe, _ = fit_static(make_statistics(OUTLIERS), RECIPES[name])
        answer = run(recipe, OUTLIERS, None, tmp_path) - (OUTLIERS - others) @ WEIGHT
        errors[name] = np.linalg.norm(answer - exact) / np.linalg.norm(exact)
    assert errors["plain"] > 0.3
    assert errors["smoothed"] < errors["plain"] / 3
    assert errors["columns"] < 0.03


@pytest.mark.parametrize("name", ["plain", "smoothed", "columns"])
def test_the_estimated_error_is_that_of_the_operators(name: str, tmp_path: Path) -> None:
    layer = make_statistics(OUTLIERS)
    recipe, predicted = fit_static(layer, RECIPES[name])
    tokens = np.concatenate([layer.sample, layer.peaks])[None]
    exact = tokens @ WEIGHT
    answer = run(recipe, tokens, None, tmp_path)
    assert predicted == pytest.approx(np.linalg.norm(answer - exact) / np.linalg.norm(exact), rel=1e-3)


def test_a_range_with_few_large_values_is_clipped_and_an_even_one_is_not() -> None:
    even = GENERATOR.uniform(-1, 1, size=(1, 400, 96)).astype(np.float32)
    recipe, _ = fit_static(make_statistics(even), Recipe())
    assert recipe.activation_max == pytest.approx(np.abs(even).max())

    heavy = even.copy()
    heavy[0, 7, 3] = 4.0  # one value in forty thousand, with a small weight
    recipe, error = fit_static(make_statistics(heavy, WEIGHT), Recipe())
    assert recipe.activation_max is not None
    assert recipe.activation_max < 4.0
    assert error < 0.02


def test_the_largest_token_of_each_row_counts_even_if_the_sample_misses_it() -> None:
    gatherer = _LayerGatherer("layer", WEIGHT, None)
    row = np.ones((1, 100, 96), np.float32)
    row[0, 37, 5] = 1000.0  # not one of the eight evenly spaced tokens of the sample
    gatherer.add(row)
    layer = gatherer.statistics()
    assert isinstance(layer, LayerStatistics)
    assert layer.sample.max() == 1
    assert layer.peaks.max() == 1000
    recipe, _ = fit_static(layer, Recipe())
    assert recipe.activation_max == pytest.approx(1000, rel=1 - min(CLIPS))


def test_activations_beyond_the_range_saturate_and_keep_their_sign(tmp_path: Path) -> None:
    weight = np.eye(32, dtype=np.float32)
    x = np.linspace(-3, 3, 32, dtype=np.float32)[None, None] * np.ones((1, 2, 1), np.float32)
    answer = run(Recipe(activation_max=1.5), x, None, tmp_path, weight)
    np.testing.assert_allclose(answer, np.clip(x, -1.5, 1.5), atol=0.02)


def test_a_layer_whose_inputs_were_all_zeros_is_fitted_and_answers_its_bias(tmp_path: Path) -> None:
    zeros = np.zeros((1, 4, 96), np.float32)
    recipe, error = fit_static(make_statistics(zeros), Recipe())
    assert error == 0
    np.testing.assert_array_equal(run(recipe, zeros, BIAS, tmp_path), np.broadcast_to(BIAS, (1, 4, 40)))


def test_a_layer_is_written_the_way_tensorrt_reads_explicit_quantisation(tmp_path: Path) -> None:
    weight = WEIGHT.copy()
    weight[:, 3] = 0  # a column of zeros, whose scale must still be above 0
    recipe, _ = fit_static(make_statistics(OUTLIERS, weight), RECIPES["columns"])
    graph = onnx.load(write_layer(recipe, BIAS, tmp_path, weight)).graph
    constants = {tensor.name: numpy_helper.to_array(tensor, str(tmp_path)) for tensor in graph.initializer}
    made_by = {output: node for node in graph.node for output in node.output}
    rounding = [node for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert len(rounding) == 3
    for node in rounding:
        scale, zero_point = constants[node.input[1]], constants[node.input[2]]
        assert scale.shape == zero_point.shape
        assert (scale > 0).all()
        assert zero_point.dtype == np.int8
        assert not zero_point.any()
    product = made_by[made_by[made_by["logits"].input[0]].input[0]]  # before the float32 columns and the bias
    assert product.op_type == "MatMul"
    activations, weights = (made_by[name] for name in product.input)
    assert made_by[activations.input[0]].op_type == "QuantizeLinear"
    assert constants[activations.input[1]].shape == ()
    assert constants[weights.input[0]].dtype == np.int8
    assert np.abs(constants[weights.input[0]].astype(int)).max() <= 127
    assert constants[weights.input[1]].shape == (40,)
    assert [attribute.i for attribute in weights.attribute if attribute.name == "axis"] == [1]


def test_the_recipes_are_int8_with_or_without_float32_columns() -> None:
    found = list_candidates(make_statistics(OUTLIERS), False, fit_static, blockwise=False)
    assert {recipe.kind for recipe, _ in found} == {"int8", "columns"}
    assert all(recipe.activation_max for recipe, _ in found)


@pytest.mark.parametrize(("largest", "stored"), [(3.0, ir.DataType.FLOAT16), (70_000.0, ir.DataType.FLOAT)])
def test_embeddings_are_float16_unless_they_exceed_its_range(
    largest: float, stored: ir.DataType, tmp_path: Path
) -> None:
    table = GENERATOR.uniform(-largest, largest, size=(50, 16)).astype(np.float32)
    table[7, 3] = largest
    with WeightFile(tmp_path / "weights") as weights:
        net = Net("embedding", Dialect.PORTABLE, weights, qdq.Qdq({}))
        rows = net.embedding(net.token_input("input_ids"), "word", table)
        written = net.finish(rows)
        ir.save(written, tmp_path / "embedding.onnx")
    assert written.graph.initializers["word"].dtype == stored
    ids = np.array([[7, 0, 49]])
    (answer,) = cpu_session.load(tmp_path / "embedding.onnx").run(None, {"input_ids": ids})
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, table[ids], rtol=2**-11, atol=largest * 2**-24)
