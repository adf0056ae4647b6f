"""The int8_qdq variant end to end on the demo checkpoints, as they are and with outliers."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator

import assay
from assay.cli.main import main
from assay_export import export
from assay_export.errors import ParityError
from assay_export.graphs import cpu_session
from assay_export.graphs.writer import OPSET
from assay_export.variants.int8 import smoothing
from assay_export.variants.int8.gate import Limits, excess, measure
from assay_export.variants.int8.linear import Recipe
from assay_export.variants.int8.providers.search import Ladder
from assay_export.variants.int8.providers.static_scales import fit_static
from tests.conftest import CHECKPOINTS, held_out
from tests.export.variants.int8.outliers import inject_into_deberta_values, inject_into_modernbert
from tests.export.variants.int8.stand_ins import change_weights, merge_scorer, write_calibration

QDQ = ["fp32", "int8_qdq"]
FILE = "onnx/model_int8_qdq.onnx"
# Sums in a different order may move a value across a rounding boundary: it then differs by one step in one place.
ONE_STEP = 1e-3


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the demo pair classifier with both int8 variants."""
    folder = tmp_path_factory.mktemp("judge")
    rows = write_calibration("pairs", folder)
    export(
        str(CHECKPOINTS / "pair-classifier"), folder / "bundle", variants=["int8_qdq", "fp32", "int8"], calibration=rows
    )
    return folder / "bundle"


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the demo scorer with fp32 and int8_qdq."""
    folder = tmp_path_factory.mktemp("scorer")
    rows = write_calibration("instructions", folder)
    export(str(CHECKPOINTS / "complexity-adapter"), folder / "bundle", variants=QDQ, calibration=rows)
    return folder / "bundle"


def test_it_is_loaded_by_name_and_answers_almost_like_fp32(judge: Path) -> None:
    model = assay.load(judge, variant="int8_qdq")
    assert model.info["variant"] == "int8_qdq"
    assert model.info["graph"] == FILE
    pairs = [(row["text"], row["text_pair"]) for row in held_out("pairs")]
    logits, exact = model.logits(pairs), assay.load(judge, variant="fp32").logits(pairs)
    assert np.abs(logits - exact).max() > 0
    assert excess(measure(logits, exact, "softmax"), Limits()) <= 1


def test_auto_never_chooses_it_on_the_cpu(judge: Path, scorer: Path) -> None:
    assert assay.load(judge).info["variant"] == "int8"
    assert assay.load(scorer).info["variant"] == "fp32"


def test_info_shows_the_line_of_each_layer_in_the_manifest(judge: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = assay.load(judge, variant="int8_qdq").manifest.variants["int8_qdq"]["portable"]
    assert graph.inputs == ("input_ids", "attention_mask")
    assert graph.graph_optimization == "basic"
    assert graph.parity["rows"] >= 200
    recipes = {layer["layer"]: layer["recipe"] for layer in graph.layers}
    assert len(recipes) == len(graph.layers)
    assert all("|x| up to" in recipe for recipe in recipes.values() if not recipe.startswith("fp32"))
    assert any(recipe.startswith("int8") for recipe in recipes.values())
    assert main(["info", str(judge)]) == 0
    printed = capsys.readouterr().out
    assert f"int8_qdq layers of {FILE}" in printed
    assert all(recipe in printed for recipe in recipes.values())


@pytest.mark.parametrize("bundle", ["judge", "scorer"])
def test_every_node_is_a_standard_operator_and_the_interface_is_that_of_fp32(
    bundle: str, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(bundle)
    model = onnx.load(folder / FILE, load_external_data=False)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", OPSET)]
    for node in model.graph.node:
        assert node.domain == ""
        assert onnx.defs.has(node.op_type, OPSET, ""), node.op_type
    fp32 = onnx.load(folder / "onnx/model.onnx", load_external_data=False)
    assert list(model.graph.input) == list(fp32.graph.input)
    assert list(model.graph.output) == list(fp32.graph.output)


@pytest.mark.parametrize("bundle", ["judge", "scorer"])
def test_the_optimised_graph_answers_like_the_graph_and_keeps_its_weights_in_int8(
    bundle: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    path = request.getfixturevalue(bundle) / FILE
    ids = np.random.default_rng(0).integers(5, 90, (2, 20))
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    feed["attention_mask"][1, 13:] = 0
    logits = {}
    for level in ("ORT_DISABLE_ALL", "ORT_ENABLE_BASIC"):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        options.optimized_model_filepath = str(tmp_path / f"{level}.onnx")
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        logits[level] = session.run(["logits"], feed)[0]
    np.testing.assert_allclose(logits["ORT_ENABLE_BASIC"], logits["ORT_DISABLE_ALL"], rtol=0, atol=1e-5)

    def count_dequantised_weights(model: onnx.ModelProto) -> int:
        weights = {tensor.name for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.INT8}
        return sum(node.op_type == "DequantizeLinear" and node.input[0] in weights for node in model.graph.node)

    written = count_dequantised_weights(onnx.load(path, load_external_data=False))
    assert written > 4
    optimised = onnx.load(tmp_path / "ORT_ENABLE_BASIC.onnx", load_external_data=False)
    assert count_dequantised_weights(optimised) == written
    assert {node.domain for node in optimised.graph.node} <= {""}


@pytest.mark.parametrize("bundle", ["judge", "scorer"])
def test_the_reference_evaluator_of_onnx_has_the_same_answers(bundle: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(bundle) / FILE
    onnx.checker.check_model(path, full_check=True)
    ids = np.random.default_rng(2).integers(5, 90, (3, 30))
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    feed["attention_mask"][2, 20:] = 0
    (expected,) = cpu_session.load(path).run(["logits"], feed)
    answer = np.asarray(next(iter(ReferenceEvaluator(str(path)).run(["logits"], feed))))
    np.testing.assert_allclose(answer, expected, rtol=0, atol=ONE_STEP)


def test_answers_do_not_depend_on_padding_or_on_what_else_is_in_the_batch(scorer: Path) -> None:
    session = cpu_session.load(scorer / FILE)
    alone = np.random.default_rng(1).integers(5, 90, (1, 9))
    together = np.concatenate([alone, alone[:, ::-1]])
    padded = {"input_ids": np.pad(together, ((0, 0), (0, 6))), "attention_mask": np.ones((2, 15), np.int64)}
    padded["attention_mask"][:, 9:] = 0
    (expected,) = session.run(["logits"], {"input_ids": alone, "attention_mask": np.ones_like(alone)})
    (answer,) = session.run(["logits"], padded)
    np.testing.assert_allclose(answer[:1], expected, rtol=0, atol=ONE_STEP)


@pytest.mark.parametrize(("channels", "factor"), [((3, 17), 300.0), ((0, 5, 9, 33), 60.0), ((40,), 3000.0)])
def test_a_scorer_with_injected_outliers_fails_with_the_plain_recipe_and_passes_with_all_recipes(
    channels: tuple[int, ...], factor: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = merge_scorer(tmp_path / "checkpoint", lambda state: inject_into_modernbert(state, channels, factor))
    rows = write_calibration("instructions", tmp_path)
    manifest = export(str(folder), tmp_path / "bundle", variants=QDQ, calibration=rows)
    recipes = [layer["recipe"] for layer in manifest.variants["int8_qdq"]["portable"].layers]
    assert any("smoothed before it" in recipe for recipe in recipes)
    _assert_plain_recipe_is_refused(folder, rows, tmp_path, monkeypatch)


def test_a_classifier_with_injected_outliers_passes(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(CHECKPOINTS / "pair-classifier", folder)
    change_weights(folder, CHECKPOINTS / "pair-classifier", lambda s: inject_into_deberta_values(s, (2, 40), 500.0))
    rows = write_calibration("pairs", tmp_path)
    manifest = export(str(folder), tmp_path / "bundle", variants=QDQ, calibration=rows)
    layers = manifest.variants["int8_qdq"]["portable"].layers
    values = [layer for layer in layers if "attention.output" in layer["layer"]]
    assert all("smoothed before it" in layer["recipe"] for layer in values)


def test_a_classifier_trained_with_outliers_fails_with_the_plain_recipe_and_passes_with_all_recipes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = CHECKPOINTS / "pair-classifier-outliers"
    rows = write_calibration("pairs", tmp_path)
    manifest = export(str(folder), tmp_path / "bundle", variants=QDQ, calibration=rows)
    recipes = [layer["recipe"] for layer in manifest.variants["int8_qdq"]["portable"].layers]
    assert any("smoothed by a division" in recipe for recipe in recipes)  # the residual's outliers cannot be absorbed
    assert any(recipe.startswith("int8") for recipe in recipes)
    _assert_plain_recipe_is_refused(folder, rows, tmp_path, monkeypatch)


def _assert_plain_recipe_is_refused(folder: Path, rows: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Export again with the plain recipe alone."""
    monkeypatch.setattr(smoothing, "list_candidates", lambda layer, *_, **__: [fit_static(layer, Recipe())])
    monkeypatch.setattr(Ladder, "of", classmethod(lambda cls, found: cls(found)))
    with pytest.raises(ParityError, match="no int8_qdq graph passes the gate"):
        export(str(folder), target / "plain", variants=QDQ, calibration=rows)
    assert not (target / "plain").exists()


def test_a_checkpoint_that_cannot_pass_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    rows = write_calibration("instructions", tmp_path)
    with pytest.raises(ParityError, match=r"no int8_qdq graph passes .* the most damage are .* leave int8_qdq out"):
        export(
            str(CHECKPOINTS / "complexity-adapter"),
            tmp_path / "bundle",
            variants=QDQ,
            calibration=rows,
            max_drift=1e-9,
        )
    assert [path.name for path in tmp_path.iterdir()] == ["calibration.jsonl"]
