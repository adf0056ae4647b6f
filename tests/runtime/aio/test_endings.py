"""Cancellation, deadlines, closing, and event loops that end."""

import asyncio
import threading
from typing import Any

import pytest

import assay
from assay import Classifier, DeadlineError
from tests.runtime.aio.held import LONG, Held, gathered, run, start, until


def test_a_waiting_call_that_is_cancelled_never_runs_and_frees_its_place(model: Classifier, held: Held) -> None:
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


def test_a_call_cancelled_during_its_run_does_not_affect_the_rest_of_the_batch(model: Classifier, held: Held) -> None:
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


def test_repeated_cancellation_does_not_accumulate_rows(
    model: Classifier, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoding, go = threading.Event(), threading.Event()
    encode = model.encode

    def slow(rows: Any, *, truncate: bool) -> Any:
        encoding.set()
        assert go.wait(LONG)
        return encode(rows, truncate=truncate)

    async def body() -> None:
        monkeypatch.setattr(model, "encode", slow)
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


def test_a_row_cancelled_as_its_run_ends_is_counted_as_cancelled(model: Classifier, held: Held) -> None:
    async def body() -> None:
        judge = assay.aio.wrap(model)
        task = await start(judge, "a")
        await held.under_way()
        held.let_go()
        # The run has ended, and the loop has not seen it yet, when the cancellation comes.
        judge._queue._runner.thread.submit(lambda: None).result()
        task.cancel()
        await gathered(task)
        await judge.aclose()
        assert (judge.stats.accepted, judge.stats.cancelled, judge.stats.running) == (1, 1, 0)

    run(body)


def test_a_call_that_has_not_begun_at_its_deadline_is_not_run(model: Classifier, held: Held) -> None:
    async def body() -> None:
        async with assay.aio.wrap(model) as judge:
            first = await start(judge, "a")
            await held.under_way()
            with pytest.raises(DeadlineError, match=r"timeout of 0\.01 s.*it had not begun and will not run") as caught:
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


def test_a_deadline_ends_the_wait_for_a_run_in_progress(
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


def test_closing_answers_accepted_calls_and_refuses_new_ones(model: Classifier, held: Held) -> None:
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


def test_a_close_that_times_out_still_answers_accepted_calls(model: Classifier, held: Held) -> None:
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


def test_a_second_event_loop_is_refused(model: Classifier) -> None:
    judge = assay.aio.wrap(model)

    async def ask() -> None:
        await judge.predict("a")

    asyncio.run(ask())
    with pytest.raises(assay.AssayError, match="belongs to another event loop"):
        asyncio.run(ask())
    asyncio.run(judge.aclose())  # its own loop is gone, and nothing can be left in it


def test_a_loop_that_ends_during_calls_leaves_nothing_behind(model: Classifier, held: Held) -> None:
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
