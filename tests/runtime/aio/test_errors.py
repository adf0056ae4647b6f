"""Invalid rows, failed runs and invalid options: each caller gets its own error, and the others their answers."""

from pathlib import Path
from typing import Any

import pytest

import assay
from assay import Classifier, InputError, NumericalError, ProviderError, Scorer
from assay.aio import AsyncScorer
from tests.runtime.aio.held import LONG, Held, gathered, run, start


def test_a_bad_row_fails_alone(model: Classifier, held: Held) -> None:
    async def body() -> None:
        async with assay.aio.wrap(model, max_delay=LONG) as judge:
            first = await start(judge, "a")
            await held.under_way()
            bad: list[Any] = [None, 7, ("a", "b"), "\ud800", "a" * 1_000_001, "nan"]
            rest = gathered(*(judge.predict(text) for text in [*bad, "b"]))
            held.let_go()
            *errors, last = await rest
            await first
        assert [type(error) for error in errors] == [InputError] * 5 + [NumericalError]
        assert last == model.predict("b")
        assert held.batches == [["a"], ["nan", "b"]]
        assert (judge.stats.accepted, judge.stats.failed, judge.stats.answered) == (3, 1, 2)

    run(body)


def test_a_text_longer_than_the_model_reads_fails_alone(score_bundle: Path, scorer: Scorer) -> None:
    async def body() -> None:
        async with assay.aio.load(score_bundle) as judge:
            assert isinstance(judge, AsyncScorer)
            long = "a " * 40
            answers = await gathered(judge.score("a"), judge.score(long), judge.score(long, truncate=True))
            assert (answers[0], answers[2]) == (scorer.score("a"), scorer.score(long, truncate=True))
            assert isinstance(answers[1], InputError)
            with pytest.raises(InputError, match=r"row 1: the text has 42 tokens, the model reads 16") as caught:
                await judge.score_batch(["a", long, "b"])
            assert caught.value.row == 1
            with pytest.raises(InputError, match="scale is"):
                await judge.score("a", scale=(1, 0))
            assert judge.stats.accepted == 6

    run(body)


def test_a_row_that_the_tokenizer_fails_on_fails_alone(model: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = model.encode

    def picky(rows: Any, *, truncate: bool) -> Any:
        if "b" in rows:
            raise assay.BundleError("tokenizer.json cannot encode this text")
        return encode(rows, truncate=truncate)

    async def body() -> None:
        monkeypatch.setattr(model, "encode", picky)
        async with assay.aio.wrap(model) as judge:
            answers = await gathered(*(judge.predict(word) for word in "abc"))
        assert (answers[0], answers[2]) == (model.predict("a"), model.predict("c"))
        assert isinstance(answers[1], assay.BundleError)

    run(body)


def test_a_failed_run_raises_a_separate_error_for_each_of_its_callers(model: Classifier, held: Held) -> None:
    async def body() -> None:
        held.error = ProviderError("out of memory")
        held.let_go()
        async with assay.aio.wrap(model, max_delay=LONG) as judge:
            errors = await gathered(*(judge.predict(word) for word in "abc"))
            assert [str(error) for error in errors] == ["out of memory"] * 3
            assert len({id(error) for error in errors}) == 3
            assert all(error.__cause__ is held.error for error in errors)
            held.error = None
            assert await judge.predict("a") == model.predict("a")
        assert (judge.stats.failed, judge.stats.answered) == (3, 1)

    run(body)


@pytest.mark.parametrize(
    "options",
    [
        {"max_queue": 0},
        {"max_queue": True},
        {"max_queue": 2.0},
        {"max_batch": 0},
        {"max_batch": "3"},
        {"max_delay": -1},
        {"max_delay": float("nan")},
        {"max_delay": None},
    ],
)
def test_invalid_options_are_refused_before_anything_is_loaded(options: dict[str, Any], model: Classifier) -> None:
    (name,) = options
    with pytest.raises(InputError, match=f"^{name} is "):
        assay.aio.load("no/such/bundle", **options)
    with pytest.raises(InputError, match=f"^{name} is "):
        assay.aio.wrap(model, **options)


@pytest.mark.parametrize("timeout", ["1", True, float("nan"), float("inf"), 10**400])
def test_a_timeout_must_be_a_number_of_seconds(timeout: Any, model: Classifier) -> None:
    async def body() -> None:
        async with assay.aio.wrap(model) as judge:
            with pytest.raises(InputError, match=r"^timeout is "):
                await judge.predict("a", timeout=timeout)

    run(body)


def test_only_a_model_can_be_wrapped(text_bundle: Path) -> None:
    with pytest.raises(InputError, match=r"model is a str of .* use assay\.aio\.load"):
        assay.aio.wrap(str(text_bundle))  # type: ignore[call-overload]
