"""Hold and release the runs of a model, and run coroutines that must leave nothing behind."""

import asyncio
import gc
import threading
import warnings
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from assay.aio import AsyncClassifier
from assay.inputs.tokenization import Tokens
from assay.models.base import Float32
from tests.runtime import tiny

LONG = 30.0  # seconds that no test takes: a wait this long means that the test has failed


class Held:
    """Stands in for model.answers: each run waits to be let go. `batches` are the words of each run, in order."""

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
