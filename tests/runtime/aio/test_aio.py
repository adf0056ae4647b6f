"""assay.aio over a tiny bundle whose runs are held and let go by the test, not by the clock."""

import asyncio
import gc
import threading
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import assay
from assay import Classifier, DeadlineError, InputError, NumericalError, OverloadedError, ProviderError, Scorer
from assay.aio import AsyncClassifier, AsyncScorer
from assay.inputs.tokenization import Tokens
from assay.models.base import Float32, runner_of
from tests.runtime import tiny

LONG = 30.0  # seconds that no test takes: a wait this long means that the test has failed


class Held:
    """Stands in for Runner.answer: each run waits to be let go. `batches` are the words of each run, in order."""

    def __init__(self, answers: Callable[[list[Tokens]], Float32]) -> None:
        self._answers = answers
        self.batches: list[list[str]] = []
        self.began = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.error: BaseException | None = None

    def __call__(self, tokens: list[Tokens]) -> Float32:
        self.batches.append([" ".join(tiny.WORDS[number] for number in row.ids[1:-1]) for row in tokens])
        self.began.release()
        assert self.go.acquire(timeout=LONG), "the test never let the run go"
        if self.error is not None:
            raise self.error
        return self._answers(tokens)

    async def under_way(self) -> None:
        assert await asyncio.to_thread(self.began.acquire, timeout=LONG), "no run began"

    def let_go(self, runs: int = 1_000) -> None:
        self.go.release(runs)


@pytest.fixture
def model(text_bundle: Path) -> Classifier:
    loaded = assay.load(text_bundle, threads=1)
    assert isinstance(loaded, Classifier)
    return loaded


@pytest.fixture
def held(model: Classifier, monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    held = Held(runner_of(model).answer)
    monkeypatch.setattr(runner_of(model), "answer", held)
    yield held
    held.let_go()


def run(body: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run `body` in a loop of its own; fail for what asyncio reports behind the caller's back, and for what is left."""
    reported: list[dict[str, Any]] = []
    before = set(threading.enumerate())

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        await asyncio.wait_for(body(), LONG)
        assert asyncio.all_tasks() == {asyncio.current_task()}, "tasks are left over"

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(main())
        gc.collect()
    assert reported == []
    assert set(threading.enumerate()) <= before, "threads are left over"


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


async def start(judge: AsyncClassifier, text: str, **options: Any) -> "asyncio.Task[Any]":
    """A predict that is under way in the queue when this returns."""
    task = asyncio.create_task(judge.predict(text, **options))
    await asyncio.sleep(0)
    return task


async def gathered(*calls: Awaitable[Any]) -> list[Any]:
    return await asyncio.gather(*calls, return_exceptions=True)


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


def test_a_row_alone_runs_at_once_however_long_the_delay(model: Classifier) -> None:
    async def body() -> None:
        async with assay.aio.wrap(model, max_delay=60.0) as judge:
            assert await judge.predict("a") == model.predict("a")

    run(body)


def test_calls_of_one_moment_share_a_batch(model: Classifier, held: Held) -> None:
    async def body() -> None:
        held.let_go()
        async with assay.aio.wrap(model, max_delay=LONG) as judge:
            answers = await asyncio.gather(*(judge.predict(word) for word in "abcdefg"))
        assert held.batches == [list("abcdefg")]
        assert answers == [model.predict(word) for word in "abcdefg"]

    run(body)


def test_rows_that_come_while_the_model_is_busy_run_together_in_their_order(model: Classifier, held: Held) -> None:
    async def body() -> None:
        async with assay.aio.wrap(model, max_batch=3, max_delay=LONG) as judge:
            tasks = [await start(judge, "a")]
            await held.under_way()
            for word in "bcdef":
                tasks.append(await start(judge, word))
            assert (judge.stats.running, judge.stats.waiting) == (1, 5)
            held.let_go()
            finished: list[str] = []
            for task, word in zip(tasks, "abcdef", strict=True):
                task.add_done_callback(lambda _, word=word: finished.append(word))
            await asyncio.gather(*tasks)
        assert held.batches == [["a"], ["b", "c", "d"], ["e", "f"]]
        assert finished == list("abcdef")
        stats = judge.stats
        assert (stats.accepted, stats.answered, stats.batches, stats.rows) == (6, 6, 3, 6)
        assert (stats.refused, stats.failed, stats.expired, stats.cancelled, stats.waiting, stats.running) == (0,) * 6

    run(body)


def test_a_batch_is_bounded_in_tokens(model: Classifier, held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        monkeypatch.setattr("assay.aio.coalescer.TOKENS_PER_CALL", 10)
        held.let_go()
        async with assay.aio.wrap(model, max_delay=LONG) as judge:
            await judge.predict_batch(["a", "b", "c", "d", "a b c d e f g a b c d", "e"])
        # of 3, 3, 3, 3, 13 and 3 tokens
        assert held.batches == [["a", "b", "c"], ["d"], ["a b c d e f g a b c d"], ["e"]]

    run(body)


def test_a_full_queue_refuses_and_says_so(model: Classifier, held: Held) -> None:
    async def body() -> None:
        async with assay.aio.wrap(model, max_queue=2) as judge:
            tasks = [await start(judge, "a")]
            await held.under_way()
            tasks.append(await start(judge, "b"))
            with pytest.raises(
                OverloadedError, match=r"1 rows wait, 1 run and 1 more came, expected 2 .*\(max_queue\); send less"
            ):
                await judge.predict("d")
            with pytest.raises(OverloadedError, match="send it in smaller batches"):
                await judge.predict_batch(["a", "b", "c"])
            held.let_go()
            await asyncio.gather(*tasks)
            assert (judge.stats.refused, judge.stats.accepted, judge.stats.answered) == (4, 2, 2)
            await judge.predict("d")  # there is room again

    run(body)


def test_a_cancelled_call_that_waits_never_runs_and_makes_room(model: Classifier, held: Held) -> None:
    async def body() -> None:
        async with assay.aio.wrap(model, max_queue=2, max_delay=LONG) as judge:
            first = await start(judge, "a")
            await held.under_way()
            waiting = await start(judge, "b")
            waiting.cancel()
            await gathered(waiting)
            assert waiting.cancelled()
            assert (judge.stats.cancelled, judge.stats.waiting) == (1, 0)
            second = await start(judge, "c")
            held.let_go()
            await asyncio.gather(first, second)
        assert held.batches == [["a"], ["c"]]

    run(body)


def test_a_cancelled_call_under_way_does_not_harm_its_neighbours(model: Classifier, held: Held) -> None:
    async def body() -> None:
        async with assay.aio.wrap(model, max_delay=LONG) as judge:
            tasks = [asyncio.create_task(judge.predict(word)) for word in "abc"]
            await held.under_way()
            tasks[1].cancel()
            await gathered(tasks[1])
            assert (judge.stats.running, judge.stats.cancelled) == (2, 1)
            held.let_go()
            answers = await gathered(*tasks)
        assert held.batches == [["a", "b", "c"]]
        assert (answers[0], answers[2]) == (model.predict("a"), model.predict("c"))
        assert isinstance(answers[1], asyncio.CancelledError)
        assert (judge.stats.answered, judge.stats.cancelled) == (2, 1)

    run(body)


def test_callers_that_cancel_all_the_time_do_not_fill_the_memory(
    model: Classifier, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoding, go = threading.Event(), threading.Event()
    encode = runner_of(model).encode

    def slow(rows: Any, *, truncate: bool) -> Any:
        encoding.set()
        assert go.wait(LONG)
        return encode(rows, truncate=truncate)

    async def body() -> None:
        monkeypatch.setattr(runner_of(model), "encode", slow)
        held.let_go()
        async with assay.aio.wrap(model, max_queue=2) as judge:
            first = await start(judge, "a")
            await asyncio.to_thread(encoding.wait, LONG)
            for _ in range(100):
                task = await start(judge, "b")
                task.cancel()
                await gathered(task)
            assert len(judge._queue._short.waiting) == 0
            go.set()
            await first
        assert judge.stats.cancelled == 100

    run(body)


def test_a_call_that_has_not_begun_at_its_deadline_is_not_run(model: Classifier, held: Held) -> None:
    async def body() -> None:
        async with assay.aio.wrap(model) as judge:
            first = await start(judge, "a")
            await held.under_way()
            with pytest.raises(DeadlineError, match=r"timeout of 0\.01 s.*it had not begun and is not run") as caught:
                await judge.predict("b", timeout=0.01)
            assert isinstance(caught.value, TimeoutError)
            with pytest.raises(DeadlineError):
                await judge.predict_batch(["c", "d"], timeout=-1)
            held.let_go()
            await first
            await judge.predict("e", timeout=LONG)
        assert held.batches == [["a"], ["e"]]
        assert (judge.stats.expired, judge.stats.answered) == (3, 2)

    run(body)


def test_a_deadline_also_ends_the_wait_for_a_run_under_way(
    model: Classifier, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        async with assay.aio.wrap(model, max_delay=LONG) as judge:
            late, patient = judge.predict("a", timeout=10), judge.predict("b")
            both = asyncio.gather(late, patient, return_exceptions=True)
            await held.under_way()
            loop, now = asyncio.get_running_loop(), asyncio.get_running_loop().time
            monkeypatch.setattr(loop, "time", lambda: now() + 12)
            await until(lambda: judge.stats.expired == 1)
            monkeypatch.setattr(loop, "time", now)
            held.let_go()
            answers = await both
        assert isinstance(answers[0], DeadlineError)
        assert "it was running" in str(answers[0])
        assert answers[1] == model.predict("b")

    run(body)


def test_closing_answers_what_was_accepted_and_refuses_the_rest(model: Classifier, held: Held) -> None:
    async def body() -> None:
        judge = assay.aio.wrap(model, max_delay=LONG)
        tasks = [await start(judge, "a")]
        await held.under_way()
        tasks += [await start(judge, word) for word in "bc"]
        closing = [asyncio.create_task(judge.aclose()) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(assay.AssayError, match="was closed and takes no more calls"):
            await judge.predict("d")
        assert not closing[0].done()
        held.let_go()
        await asyncio.gather(*closing)
        assert [await task for task in tasks] == [model.predict(word) for word in "abc"]
        await judge.aclose()

    run(body)


def test_an_impatient_close_leaves_the_accepted_their_answers(model: Classifier, held: Held) -> None:
    async def body() -> None:
        judge = assay.aio.wrap(model)
        task = await start(judge, "a")
        await held.under_way()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(judge.aclose(), 0.01)
        held.let_go()
        assert await task == model.predict("a")
        await judge.aclose()

    run(body)


def test_load_closes_its_model_and_wrap_does_not(model: Classifier, text_bundle: Path) -> None:
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
    encode = runner_of(model).encode

    def picky(rows: Any, *, truncate: bool) -> Any:
        if "b" in rows:
            raise assay.BundleError("tokenizer.json cannot encode this text")
        return encode(rows, truncate=truncate)

    async def body() -> None:
        monkeypatch.setattr(runner_of(model), "encode", picky)
        async with assay.aio.wrap(model) as judge:
            answers = await gathered(*(judge.predict(word) for word in "abc"))
        assert (answers[0], answers[2]) == (model.predict("a"), model.predict("c"))
        assert isinstance(answers[1], assay.BundleError)

    run(body)


def test_a_failed_run_reaches_everyone_in_it_with_an_error_of_their_own(model: Classifier, held: Held) -> None:
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


def test_a_long_text_that_is_being_tokenised_does_not_hold_up_short_ones(
    model: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoding, go = threading.Event(), threading.Event()
    encode = runner_of(model).encode

    def slow_for_long(rows: Any, *, truncate: bool) -> Any:
        if any(len(row) > 1_000 for row in rows):
            encoding.set()
            assert go.wait(LONG)
        return encode(rows, truncate=truncate)

    async def body() -> None:
        monkeypatch.setattr(runner_of(model), "encode", slow_for_long)
        async with assay.aio.wrap(model) as judge:
            long = await start(judge, "a " * 20_000)
            assert await asyncio.to_thread(encoding.wait, LONG)
            assert await judge.predict("b") == model.predict("b")
            go.set()
            assert await long == model.predict("a " * 20_000)

    run(body)


def test_the_event_loop_goes_on_while_the_model_runs(model: Classifier, held: Held) -> None:
    async def body() -> None:
        async with assay.aio.wrap(model) as judge:
            task = await start(judge, "a")
            await held.under_way()
            await asyncio.sleep(0)  # the run is held: this returns because it is not the loop's thread that waits
            assert not task.done()
            held.let_go()
            await task

    run(body)


def test_a_second_event_loop_is_refused_and_the_first_one_is_named(model: Classifier) -> None:
    judge = assay.aio.wrap(model)

    async def ask() -> None:
        await judge.predict("a")

    asyncio.run(ask())
    with pytest.raises(assay.AssayError, match="belongs to another event loop"):
        asyncio.run(ask())
    asyncio.run(judge.aclose())  # its own loop is gone, and nothing can be left in it


def test_a_loop_that_ends_with_calls_under_way_leaves_nothing_behind(model: Classifier, held: Held) -> None:
    judge = assay.aio.wrap(model)
    tasks: list[asyncio.Task[Any]] = []

    async def body() -> None:
        tasks.append(await start(judge, "a"))
        await held.under_way()
        tasks.append(await start(judge, "b"))

    asyncio.run(body())
    assert all(task.cancelled() for task in tasks)
    assert judge.stats.cancelled == 2
    held.let_go()
    judge._queue._runner.shutdown(wait=True)  # the run ends in a closed loop, quietly
    assert held.batches == [["a"]]


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
def test_wrong_options_are_refused_before_anything_is_loaded(options: dict[str, Any], model: Classifier) -> None:
    (name,) = options
    with pytest.raises(InputError, match=f"^{name} is "):
        assay.aio.load("no/such/bundle", **options)
    with pytest.raises(InputError, match=f"^{name} is "):
        assay.aio.wrap(model, **options)


@pytest.mark.parametrize("timeout", ["1", True, float("nan"), float("inf"), 10**400])
def test_a_timeout_is_seconds(timeout: Any, model: Classifier) -> None:
    async def body() -> None:
        async with assay.aio.wrap(model) as judge:
            with pytest.raises(InputError, match=r"^timeout is "):
                await judge.predict("a", timeout=timeout)

    run(body)


def test_what_is_no_model_is_not_wrapped(text_bundle: Path) -> None:
    with pytest.raises(InputError, match=r"model is a str of .* use assay\.aio\.load"):
        assay.aio.wrap(str(text_bundle))  # type: ignore[call-overload]


def test_errors_of_loading_are_those_of_load(tmp_path: Path) -> None:
    async def body() -> None:
        with pytest.raises(assay.BundleError, match="no such folder"):
            async with assay.aio.load(tmp_path / "none"):
                pass

    run(body)


def test_a_row_cancelled_as_its_run_ends_is_counted_as_cancelled(model: Classifier, held: Held) -> None:
    async def body() -> None:
        judge = assay.aio.wrap(model)
        task = await start(judge, "a")
        await held.under_way()
        held.let_go()
        # The run has ended, and the loop has not seen it yet, when the cancellation comes.
        judge._queue._runner.submit(lambda: None).result()
        task.cancel()
        await gathered(task)
        await judge.aclose()
        assert (judge.stats.accepted, judge.stats.cancelled, judge.stats.running) == (1, 1, 0)

    run(body)
