from pathlib import Path
from typing import Any

import pytest

import assay
from assay import BundleError, Classifier, InputError, Scorer

pytest.importorskip("distilabel", reason="distilabel is not installed: pip install distilabel")

from distilabel.pipeline import Pipeline
from distilabel.steps import LoadDataFromDicts

TEXTS = ["a", "what causes rain", "b c"]


def make(*arguments: Any, **options: Any) -> Any:
    return assay.integrations.distilabel.Annotator(*arguments, **options)


def process(step: Any, table: list[dict[str, Any]]) -> list[dict[str, Any]]:
    step.load()
    found: list[dict[str, Any]] = next(step.process(table))
    return found


def test_the_rows_get_the_models_answers(score_bundle: Path, scorer: Scorer) -> None:
    step = make(bundle=str(score_bundle), text="q", options={"columns": ["score", "evol_complexity"], "threads": 1})
    assert (step.inputs, step.outputs) == (["q"], ["score", "evol_complexity"])
    found = process(step, [{"q": text, "id": row} for row, text in enumerate(TEXTS)])
    assert found == [
        {"q": text, "id": row, "score": score, "evol_complexity": evol}
        for row, (text, score, evol) in enumerate(
            zip(TEXTS, scorer.score_batch(TEXTS).tolist(), scorer.evol_complexity_batch(TEXTS).tolist(), strict=True)
        )
    ]


def test_pairs_and_rows_without_an_answer(pair_bundle: Path, judge: Classifier) -> None:
    step = make(bundle=str(pair_bundle), pair=("q", "r"), options={"on_error": "null", "threads": 1})
    found = process(step, [{"q": "a", "r": "b"}, {"q": "a", "r": None}])
    assert found[0]["label"] == judge.predict("a", "b").label
    assert (found[1]["label"], found[1]["score"]) == (None, None)
    assert "found None" in found[1]["error"]


def test_a_pipeline_runs_the_step_in_its_own_process(score_bundle: Path, scorer: Scorer, tmp_path: Path) -> None:
    with Pipeline(name="complexity", cache_dir=tmp_path) as pipeline:
        load = LoadDataFromDicts(data=[{"instruction": text} for text in TEXTS], batch_size=2)
        step = make(
            bundle=str(score_bundle),
            text="instruction",
            options={"threads": 1},
            output_mappings={"score": "complexity"},
        )
        load >> step
    done = pipeline.run(use_cache=False)["default"]["train"]
    assert done["instruction"][:] == TEXTS
    assert done["complexity"][:] == pytest.approx(scorer.score_batch(TEXTS).tolist(), rel=1e-6)


def test_wrong_options_are_refused_when_the_step_is_made(score_bundle: Path, tmp_path: Path) -> None:
    # pydantic makes a ValidationError, which is a ValueError too, of an InputError.
    with pytest.raises(ValueError, match="columns: found 'label'"):
        make(bundle=str(score_bundle), text="q", options={"columns": ["label"]})
    with pytest.raises(ValueError, match="found text and pair or neither"):
        make(bundle=str(score_bundle))
    with pytest.raises(BundleError, match="no such folder"):
        make(bundle=str(tmp_path / "none"), text="q")


def test_a_column_is_never_overwritten(score_bundle: Path) -> None:
    step = make(bundle=str(score_bundle), text="q")
    with pytest.raises(InputError, match="column 'score' is there already"):
        process(step, [{"q": "a", "score": 1}])
