"""Each recipe for a linear layer, run by ONNX Runtime and compared with float32."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from assay_export.graphs.net import Net
from assay_export.graphs.weights import WeightFile
from assay_export.graphs.writer import Array, Dialect
from assay_export.variants.int8 import linear
from assay_export.variants.int8.linear import Recipe, quantise_columns, quantise_rows
from assay_export.variants.int8.smoothing import estimate_layer_error, list_candidates
from assay_export.variants.int8.statistics import LayerStatistics
from tests.export.variants.comparable import needs_exact_products

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
    "blockwise": Recipe("blockwise"),
    "fp32": Recipe("fp32"),
}


def run(recipe: Recipe, x: Array, bias: Array | None, folder: Path) -> Array:
    with WeightFile(folder / "weights") as weights:
        net = Net("layer", Dialect.CPU, weights)
        value = net.builder.input("x", ir.DataType.FLOAT, ["batch", "sequence", 96])
        model = net.finish(linear.write(net, value, "layer", WEIGHT, bias, recipe))
        ir.save(model, folder / "layer.onnx")
    session = onnxruntime.InferenceSession(folder / "layer.onnx", providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


def measure_error(recipe: Recipe, x: Array, folder: Path) -> float:
    exact = x @ WEIGHT
    return float(np.linalg.norm(run(recipe, x, None, folder) - exact) / np.linalg.norm(exact))


@needs_exact_products
@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("bias", [None, BIAS], ids=["no bias", "bias"])
def test_every_recipe_is_close_to_the_float32_product(name: str, bias: Array | None, tmp_path: Path) -> None:
    exact = CALM @ WEIGHT + (0 if bias is None else bias)
    delta = run(RECIPES[name], CALM, bias, tmp_path) - exact
    assert np.linalg.norm(delta) / np.linalg.norm(exact) < (1e-6 if name == "fp32" else 0.03)


@needs_exact_products
def test_outlier_channels_break_the_plain_recipe_and_the_other_recipes_tolerate_them(tmp_path: Path) -> None:
    others = OUTLIERS.copy()
    others[..., [5, 60]] = 0  # the other channels, which the scale of the outliers rounds away
    exact = others @ WEIGHT
    errors = {}
    for name, recipe in RECIPES.items():
        answer = run(recipe, OUTLIERS, None, tmp_path) - (OUTLIERS - others) @ WEIGHT
        errors[name] = np.linalg.norm(answer - exact) / np.linalg.norm(exact)
    assert errors["plain"] > 0.3
    assert errors["smoothed"] < errors["plain"] / 3
    assert errors["columns"] < 0.03
    assert errors["fp32"] < 1e-4


@needs_exact_products
def test_the_estimated_error_is_that_of_the_operator(tmp_path: Path) -> None:
    for name in ("plain", "smoothed", "columns", "blockwise"):
        sample = OUTLIERS.reshape(-1, 96)
        layer = LayerStatistics("layer", WEIGHT, None, np.abs(sample).max(axis=0), sample, sample[:1])
        assert estimate_layer_error(layer, RECIPES[name]) == pytest.approx(
            measure_error(RECIPES[name], OUTLIERS, tmp_path), rel=0.05
        )


def test_a_layer_in_parts_answers_like_the_whole_layer(tmp_path: Path) -> None:
    for recipe in (RECIPES["plain"], RECIPES["smoothed"]):
        with WeightFile(tmp_path / "weights") as weights:
            net = Net("layer", Dialect.CPU, weights)
            value = net.builder.input("x", ir.DataType.FLOAT, ["batch", "sequence", 96])
            parts = linear.write_parts(net, value, "layer", WEIGHT, BIAS, 2, recipe)
            ir.save(net.finish(net.op.Concat(*parts, axis=-1)), tmp_path / "parts.onnx")
        session = onnxruntime.InferenceSession(tmp_path / "parts.onnx", providers=["CPUExecutionProvider"])
        np.testing.assert_array_equal(session.run(None, {"x": CALM})[0], run(recipe, CALM, BIAS, tmp_path))


def test_a_layer_with_few_columns_stays_in_float32() -> None:
    sample = CALM.reshape(-1, 96)
    layer = LayerStatistics("classifier", WEIGHT[:, :5], BIAS[:5], np.abs(sample).max(axis=0), sample, sample[:1])
    assert [recipe.kind for recipe, _ in list_candidates(layer, absorbable=False)] == ["fp32"]


def test_columns_of_zeros_and_columns_of_any_size_are_quantised() -> None:
    weight = np.stack([np.zeros(8), np.full(8, 1e-20), np.linspace(-3e8, 3e8, 8)], axis=1).astype(np.float32)
    values, scale = quantise_columns(weight)
    assert values.dtype == np.int8
    assert np.abs(values).max() == 127
    assert np.allclose(values * scale, weight, rtol=1e-2, atol=1e-30)


def test_each_row_of_an_embedding_has_its_own_scale() -> None:
    table = np.stack([np.linspace(-1, 1, 16), np.linspace(-1e-4, 1e-4, 16)]).astype(np.float32)
    values, scale = quantise_rows(table)
    assert scale.shape == (2, 1)
    assert (np.abs(values * scale - table).max(axis=1) <= np.array([1, 1e-4], np.float32) / 254 * 1.001).all()
