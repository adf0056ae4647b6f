"""Answers are those of the model, and what is loaded is closed."""

from pathlib import Path

import numpy as np
import pytest

import assay
from assay import Classifier, InputError, Scorer
from assay.aio import AsyncClassifier, AsyncScorer
from tests.runtime.aio.held import run


def test_answers_are_those_of_the_model(
    judge: Classifier, scorer: Scorer, pair_bundle: Path, score_bundle: Path
) -> None:
    async def body() -> None:
        async with assay.aio.load(pair_bundle, threads=1) as asked:
            assert isinstance(asked, AsyncClassifier)
            assert (asked.labels, asked.info["threads"]) == (judge.labels, 1)
            assert await asked.predict("what causes", "rain") == judge.predict("what causes", "rain")
            assert await asked.predict_batch([("a", "b"), ("c", "")]) == judge.predict_batch([("a", "b"), ("c", "")])
            assert (await asked.logits([])).shape == (0, 3)
        async with assay.aio.load(score_bundle) as rated:
            assert isinstance(rated, AsyncScorer)
            assert await rated.score("a b") == scorer.score("a b")
            assert await rated.score("a b", scale=(0, 100)) == scorer.score("a b", scale=(0, 100))
            assert await rated.evol_complexity("a b c") == scorer.evol_complexity("a b c")
            np.testing.assert_array_equal(await rated.logits(["a", "b c"]), scorer.logits(["a", "b c"]))
            np.testing.assert_array_equal(
                await rated.score_batch(["a"], scale=(1, 6)), scorer.score_batch(["a"], scale=(1, 6))
            )
            assert await rated.score("a " * 40, truncate=True) == scorer.score("a " * 40, truncate=True)

    run(body)


def test_several_labels_per_row_are_those_of_the_model(tagger: Classifier, text_bundle: Path) -> None:
    async def body() -> None:
        async with assay.aio.load(text_bundle, threads=1) as asked:
            assert isinstance(asked, AsyncClassifier)
            assert await asked.predict("a", threshold=0.3) == tagger.predict("a", threshold=0.3)
            assert await asked.predict_batch(["a", "b c"]) == tagger.predict_batch(["a", "b c"])
            with pytest.raises(InputError, match="threshold is the int 2"):
                await asked.predict_batch(["a"], threshold=2)

    run(body)


def test_closing_closes_a_loaded_model_but_not_a_wrapped_one(model: Classifier, text_bundle: Path) -> None:
    async def body() -> None:
        async with assay.aio.load(text_bundle) as judge:
            pass
        assert "closed" in repr(judge)
        loaded = await assay.aio.load(text_bundle)
        await loaded.aclose()
        async with assay.aio.wrap(model):
            pass
        assert model.predict("a").label

    run(body)


def test_errors_of_loading_are_those_of_load(tmp_path: Path) -> None:
    async def body() -> None:
        with pytest.raises(assay.BundleError, match="no such folder"):
            async with assay.aio.load(tmp_path / "none"):
                pass

    run(body)
