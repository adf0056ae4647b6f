"""The variant int8_ort end to end on the demo checkpoints, as they are and with outlier channels."""

import functools
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import assay
from assay.ort.batching import INT8_TOKENS_PER_CALL
from assay_export import export
from assay_export.checkpoint.reference import Feed
from assay_export.errors import ExportError, ParityError
from assay_export.graphs.writer import Array
from assay_export.variants import table
from assay_export.variants.int8.gate import Limits, excess, measure
from assay_export.variants.int8.providers import variant
from assay_export.variants.int8.providers.schemes import SCHEMES, _run_sharing
from assay_export.variants.int8.providers.search import Ladder
from tests.conftest import CHECKPOINTS, held_out
from tests.export.variants.comparable import needs_exact_products
from tests.export.variants.int8.outliers import inject_into_deberta_values, inject_into_modernbert
from tests.export.variants.int8.stand_ins import change_weights, merge_scorer, write_calibration


@needs_exact_products
def test_auto_chooses_int8_ort_if_there_is_no_int8_and_answers_almost_like_fp32(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    rows = write_calibration("pairs", tmp_path)
    manifest = export(str(CHECKPOINTS / "pair-classifier"), bundle, variants=["fp32", "int8_ort"], calibration=rows)
    judge = assay.load(bundle)
    assert judge.info["variant"] == "int8_ort"
    pairs = [(row["text"], row["text_pair"]) for row in held_out("pairs")]
    logits, exact = judge.logits(pairs), assay.load(bundle, variant="fp32").logits(pairs)
    assert np.abs(logits - exact).max() > 0
    assert excess(measure(logits, exact, "softmax"), Limits()) <= 1
    graph = manifest.variants["int8_ort"]["cpu"]
    assert len(graph.layers) == len({layer["layer"] for layer in graph.layers})
    assert graph.parity["rows"] >= 200
    # Rows that share calls passed the same gate, and share calls in throughput mode.
    assert graph.tokens_per_call == INT8_TOKENS_PER_CALL
    assert excess(dict(graph.parity["sharing_calls"]), Limits()) <= 1
    sharing = assay.load(bundle, mode="throughput").logits(pairs)
    assert np.abs(sharing - logits).max() > 0
    assert excess(measure(sharing, exact, "softmax"), Limits()) <= 1


@needs_exact_products
def test_rows_do_not_share_calls_if_that_fails_the_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_wrongly(path: Path, feeds: Sequence[Feed]) -> Array:
        return _run_sharing(path, feeds) + 0.2

    scheme = replace(SCHEMES[0], run_sharing=run_wrongly)
    monkeypatch.setitem(table.WRITERS, "int8_ort", functools.partial(variant.write, scheme))
    rows = write_calibration("instructions", tmp_path)
    manifest = export(
        str(CHECKPOINTS / "complexity-adapter"), tmp_path / "bundle", variants=["fp32", "int8_ort"], calibration=rows
    )
    graph = manifest.variants["int8_ort"]["cpu"]
    assert graph.tokens_per_call == 1
    assert excess(dict(graph.parity["sharing_calls"]), Limits()) > 1
    assert excess(dict(graph.parity), Limits()) <= 1


@needs_exact_products
def test_int8_ort_answers_do_not_depend_on_what_else_is_in_the_batch(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    rows = write_calibration("instructions", tmp_path)
    export(str(CHECKPOINTS / "complexity-adapter"), bundle, variants=["fp32", "int8_ort"], calibration=rows)
    scorer = assay.load(bundle, variant="int8_ort")
    assert isinstance(scorer, assay.Scorer)
    texts = ["List three rivers.", "Name a red fruit.", "Name three cities.", "List three rivers."] * 3
    together = scorer.score_batch(texts)
    assert together.tolist() == [scorer.score(text) for text in texts]


@needs_exact_products
@pytest.mark.parametrize(("channels", "factor"), [((3, 17), 300.0), ((0, 5, 9, 33), 60.0), ((40,), 3000.0)])
def test_a_scorer_with_injected_outliers_fails_with_the_plain_recipe_and_passes_with_all_recipes(
    channels: tuple[int, ...], factor: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = merge_scorer(tmp_path / "checkpoint", lambda state: inject_into_modernbert(state, channels, factor))
    rows = write_calibration("instructions", tmp_path)
    manifest = export(str(folder), tmp_path / "bundle", variants=["fp32", "int8_ort"], calibration=rows)
    assert manifest.variants["fp32"]["cpu"].parity["max_abs_delta"] <= 1e-4
    assert any(layer["recipe"] != "int8" for layer in manifest.variants["int8_ort"]["cpu"].layers)

    # With the plain recipe alone, the same checkpoint is refused.
    monkeypatch.setattr(Ladder, "of", classmethod(lambda cls, found: cls([(type(found[0][0])(), 1.0)])))
    with pytest.raises(ParityError, match="no int8_ort graph passes the gate"):
        export(str(folder), tmp_path / "plain", variants=["fp32", "int8_ort"], calibration=rows)
    assert not (tmp_path / "plain").exists()


@needs_exact_products
def test_a_classifier_with_injected_outliers_passes(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(CHECKPOINTS / "pair-classifier", folder)
    change_weights(folder, CHECKPOINTS / "pair-classifier", lambda s: inject_into_deberta_values(s, (2, 40), 500.0))
    rows = write_calibration("pairs", tmp_path)
    manifest = export(str(folder), tmp_path / "bundle", variants=["fp32", "int8_ort"], calibration=rows)
    values = [layer for layer in manifest.variants["int8_ort"]["cpu"].layers if "attention.output" in layer["layer"]]
    assert all("smoothed before it" in layer["recipe"] for layer in values)


@needs_exact_products
def test_a_classifier_trained_with_outliers_fails_with_the_plain_recipe_and_passes_with_all_recipes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = CHECKPOINTS / "pair-classifier-outliers"
    rows = write_calibration("pairs", tmp_path)
    manifest = export(str(folder), tmp_path / "bundle", variants=["fp32", "int8_ort"], calibration=rows)
    assert manifest.variants["fp32"]["cpu"].parity["max_abs_delta"] <= 1e-4
    recipes = [layer["recipe"] for layer in manifest.variants["int8_ort"]["cpu"].layers]
    assert any("smoothed by a division" in recipe for recipe in recipes)  # outliers of the residual cannot be absorbed
    assert any(recipe.startswith("int8") for recipe in recipes)

    # With the plain recipe alone, the same checkpoint is refused.
    monkeypatch.setattr(Ladder, "of", classmethod(lambda cls, found: cls([(type(found[0][0])(), 1.0)])))
    with pytest.raises(ParityError, match="no int8_ort graph passes the gate"):
        export(str(folder), tmp_path / "plain", variants=["fp32", "int8_ort"], calibration=rows)
    assert not (tmp_path / "plain").exists()


@needs_exact_products
def test_a_checkpoint_that_cannot_pass_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    rows = write_calibration("instructions", tmp_path)
    with pytest.raises(ParityError, match="the most damage are"):
        export(
            str(CHECKPOINTS / "complexity-adapter"),
            tmp_path / "bundle",
            variants=["fp32", "int8_ort"],
            calibration=rows,
            max_drift=1e-9,
        )
    assert [path.name for path in tmp_path.iterdir()] == ["calibration.jsonl"]


@pytest.mark.parametrize(
    ("variants", "message"), [(["int8"], "expected fp32"), (["fp32", "int4"], "int4"), ([], "none")]
)
def test_variants_that_do_not_exist_are_refused(variants: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=message):
        export(str(CHECKPOINTS / "pair-classifier"), tmp_path / "bundle", variants=variants)


def test_a_calibration_file_with_too_few_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "few.jsonl"
    path.write_text('{"text": "a", "text_pair": "b"}\n' * 10, encoding="utf-8")
    with pytest.raises(ExportError, match="has 10 rows, expected at least 300"):
        export(str(CHECKPOINTS / "pair-classifier"), tmp_path / "b", variants=["fp32", "int8_qdq"], calibration=path)


def test_products_that_saturate_are_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.ort.saturation.find_problem", lambda: "they saturate")
    with pytest.raises(ExportError, match="int8_ort cannot be compared with PyTorch on this CPU"):
        export(str(tmp_path / "no checkpoint"), tmp_path / "bundle", variants=["fp32", "int8_ort"])
    assert not list(tmp_path.iterdir())
