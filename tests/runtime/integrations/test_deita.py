"""The scorer in the place of deita's; the last test runs deita's own pipeline where it is installed."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

import assay
from assay import AssayError, BundleError, InputError, NumericalError, Scorer
from tests.runtime import tiny


def make(*arguments: Any, **options: Any) -> Any:
    return assay.integrations.deita.Scorer(*arguments, threads=1, **options)


def test_the_complexity_is_the_score_on_the_scale_from_1_to_6(score_bundle: Path, scorer: Scorer) -> None:
    for text in ["a", "what causes rain", ""]:
        found = make(str(score_bundle)).infer_complexity(text)
        assert found == scorer.score(text, scale=(1, 6))
        assert 1 <= found <= 6


def test_what_deita_answers_with_3_is_an_error(score_bundle: Path) -> None:
    scorer = make(score_bundle)
    with pytest.raises(NumericalError):
        scorer.infer_complexity("nan")
    with pytest.raises(InputError, match="tokens"):
        scorer.infer_complexity("a " * 40)
    with pytest.raises(InputError, match="found None, expected a text"):
        scorer.infer_complexity(None)
    assert 1 <= make(score_bundle, truncate=True).infer_complexity("a " * 40) <= 6


def test_what_a_complexity_scorer_cannot_answer_is_refused_by_name(score_bundle: Path) -> None:
    scorer = make(score_bundle)
    with pytest.raises(AssayError, match="infer_quality: tiny scores the complexity of instructions, not the quality"):
        scorer.infer_quality("a", "b")
    with pytest.raises(AssayError, match="infer_score: takes a prompt of deita's own models"):
        scorer.infer_score("a")
    with pytest.raises(InputError, match="is_vllm is True"):
        make(score_bundle, True)


def test_a_bundle_without_the_scale_is_refused_when_it_is_loaded(pair_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a regression bundle"):
        make(pair_bundle)
    plain = tiny.write(tmp_path / "plain", **{**tiny.REGRESSION, "scale": None})
    with pytest.raises(BundleError, match="has no Evol-Complexity scale, expected a bundle of a complexity scorer"):
        make(plain)


@pytest.mark.library("deita")
def test_deitas_pipeline_runs_on_a_bundle(
    score_bundle: Path, scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline: Any = importlib.import_module("deita.pipeline.score_pipeline")
    monkeypatch.setattr(pipeline, "Llama_Scorer", assay.integrations.deita.Scorer)
    turns = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "x"}, {"from": "human", "value": "b c"}]
    (tmp_path / "in.json").write_text(json.dumps([{"conversations": turns}]))
    options: dict[str, Any] = {
        "scorer": "llama",
        "scorer_name_or_path": str(score_bundle),
        "score_type": "complexity",
        "output_path": str(tmp_path / "out.json"),
    }
    pipeline.ScorePipeline("score_pipeline", str(tmp_path / "in.json"), **options).run()
    done = json.loads((tmp_path / "out.json").read_text())
    assert done[0]["complexity_scores"] == [scorer.score(text, scale=(1, 6)) for text in ("a", "b c")]
