"""Which rows share a run, in which order, and what does not wait for what."""

import asyncio
import threading
from typing import Any

import pytest

import assay
from assay import Classifier, OverloadedError
from tests.runtime.aio.held import LONG, Held, run, start


def test_a_single_row_runs_at_once_however_long_the_delay(model: Classifier) -> None:
    async def body() -> None:
        async with assay.aio.wrap(model, max_delay=60.0) as judge:
            assert await judge.predict("a") == model.predict("a")

    run(body)


def test_concurrent_calls_share_a_batch(model: Classifier, held: Held) -> None:
    async def body() -> None:
        held.let_go()
        async with assay.aio.wrap(model, max_delay=LONG) as judge:
            answers = await asyncio.gather(*(judge.predict(word) for word in "abcdefg"))
        assert held.batches == [list("abcdefg")]
        assert answers == [model.predict(word) for word in "abcdefg"]

    run(body)


def test_rows_that_arrive_while_the_model_is_busy_run_together_in_order(model: Classifier, held: Held) -> None:
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


def test_a_full_queue_refuses_rows_and_says_what_to_do(model: Classifier, held: Held) -> None:
    async def body() -> None:
        async with assay.aio.wrap(model, max_queue=2) as judge:
            tasks = [await start(judge, "a")]
            await held.under_way()
            tasks.append(await start(judge, "b"))
            with pytest.raises(
                OverloadedError,
                match=r"1 waiting, 1 running and 1 new rows, .* 2 .*\(max_queue\); send less",
            ):
                await judge.predict("d")
            with pytest.raises(OverloadedError, match="send it in smaller batches"):
                await judge.predict_batch(["a", "b", "c"])
            held.let_go()
            await asyncio.gather(*tasks)
            assert (judge.stats.refused, judge.stats.accepted, judge.stats.answered) == (4, 2, 2)
            await judge.predict("d")  # there is room again

    run(body)


def test_a_long_text_that_is_being_tokenised_does_not_hold_up_short_ones(
    model: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoding, go = threading.Event(), threading.Event()
    encode = model.encode

    def slow_for_long(rows: Any, *, truncate: bool) -> Any:
        if any(len(row) > 1_000 for row in rows):
            encoding.set()
            assert go.wait(LONG)
        return encode(rows, truncate=truncate)

    async def body() -> None:
        monkeypatch.setattr(model, "encode", slow_for_long)
        async with assay.aio.wrap(model) as judge:
            long = await start(judge, "a " * 20_000)
            assert await asyncio.to_thread(encoding.wait, LONG)
            assert await judge.predict("b") == model.predict("b")
            go.set()
            assert await long == model.predict("a " * 20_000)

    run(body)


def test_the_event_loop_continues_while_the_model_runs(model: Classifier, held: Held) -> None:
    async def body() -> None:
        async with assay.aio.wrap(model) as judge:
            task = await start(judge, "a")
            await held.under_way()
            await asyncio.sleep(0)  # the run is held: this returns because it is not the loop's thread that waits
            assert not task.done()
            held.let_go()
            await task

    run(body)
