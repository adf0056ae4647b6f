"""Loads assay.aio with more than it can take: is memory bounded, and is every accepted request answered in time?

    python -m benchmarks.probes.aio_load BUNDLE [--rows FILE] [--seconds 60] [--load 2.0] [--max-queue 128]

The probe first measures the capacity: the rows per second while the queue is neither empty nor full. Then it runs an
open loop: requests arrive at a constant rate of `load` times the capacity, whether or not earlier ones were answered.
Both send the same rows in turn. An accepted request may take the queue's stated delay, max_queue / capacity +
max_delay, plus the service time of the longest batch of the run, because a batch is answered when it ends. The exit
code is 1 if p99 is later than that, if an accepted request got no answer, or if memory grew by more than a tenth. The
sender is in the same process, so its own work shows in the latencies of a model that answers a thousand rows a second.
"""

import argparse
import asyncio
import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

import assay
from assay.errors import AssayError
from assay.inputs.files import read_rows
from assay.inputs.validation import Kind, Row
from assay.models.base import Model, runner_of
from benchmarks.command_line import make_parser

__all__ = ["main"]

WORDS = (
    "rain",
    "forms",
    "when",
    "water",
    "in",
    "the",
    "air",
    "cools",
    "and",
    "gathers",
    "into",
    "drops",
    "that",
    "fall",
)
LENGTHS = (8, 40, 16, 90, 12, 24, 60, 10)
"""Words of the generated rows, in turn, mixed so that a batch has several lengths."""

_TICK = 0.01  # seconds between two checks of what is due; rare, because the sender takes time from the model


@dataclass
class Load:
    """The outcome of one open loop."""

    sent: int = 0
    refused: int = 0
    failed: int = 0
    latencies: list[float] = field(default_factory=list)  # of answered requests, in seconds


class Timed:
    """Wraps the function that answers a batch, and keeps the longest time in seconds and the most rows of one."""

    def __init__(self, model: Model) -> None:
        runner: Any = runner_of(model)
        self._answer = runner.answer
        self.longest = 0.0
        self.rows = 0
        runner.answer = self

    def __call__(self, tokens: Sequence[Any]) -> Any:
        start = time.monotonic()
        try:
            return self._answer(tokens)
        finally:
            self.longest = max(self.longest, time.monotonic() - start)
            self.rows = max(self.rows, len(tokens))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0, or 1 if a check failed or with one line on standard error.
    """
    parser = make_parser("aio_load", __doc__)
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument(
        "--rows", metavar="FILE", help="rows to send, as for assay predict --file; default: generated prose"
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the open loop; default: 60")
    parser.add_argument(
        "--load", type=float, default=2.0, help="requests per second, in multiples of the capacity; default: 2"
    )
    parser.add_argument("--max-queue", type=int, default=128)
    parser.add_argument("--mode", help="mode of assay.load: latency or throughput")
    options = parser.parse_args(arguments)
    try:
        return asyncio.run(_run(options))
    except AssayError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


async def _run(options: argparse.Namespace) -> int:
    loading = {"mode": options.mode} if options.mode else {}
    model = await asyncio.to_thread(assay.load, options.bundle, **loading)
    kind = model.manifest.input
    rows = itertools.cycle(read_rows(options.rows, kind) if options.rows else _make_rows(kind))
    timed = Timed(model)
    judge: Any = assay.aio.wrap(model, max_queue=options.max_queue)
    async with judge:
        seconds = max(2.0, options.seconds / 6)
        await _measure_capacity(judge, rows, options.max_queue, seconds / 2)  # warms up
        capacity = await _measure_capacity(judge, rows, options.max_queue, seconds)
        print(f"capacity    {capacity:,.1f} rows/s over {seconds:.0f} s, {model.info['variant']}", flush=True)
        timed.longest, before = 0.0, judge.stats
        process = psutil.Process()
        start_bytes = process.memory_info().rss
        start = time.monotonic()
        load, peak_bytes = await _run_open_loop(judge, rows, capacity * options.load, options.seconds, process)
        elapsed = time.monotonic() - start
        end_bytes = process.memory_info().rss
    after = judge.stats
    accepted = after.accepted - before.accepted
    answered = len(load.latencies)
    print(f"sent        {load.sent:,}: {load.sent / options.seconds:,.1f}/s, {options.load:g} x capacity")
    print(f"accepted    {accepted:,}, answered {answered:,} ({answered / elapsed:,.1f}/s), failed {load.failed:,}")
    print(f"refused     {load.refused:,}; counted by the queue: {after.refused - before.refused:,}")
    print(f"batches     {after.batches - before.batches:,}, the largest of {timed.rows} rows")
    if not load.latencies:
        print("nothing was answered")
        return 1
    p50, p99 = np.percentile(load.latencies, (50, 99))
    stated = options.max_queue / capacity + assay.aio.coalescer.MAX_DELAY
    allowed = stated + timed.longest
    print(f"latency     p50 {p50 * 1e3:,.1f} ms, p99 {p99 * 1e3:,.1f} ms, max {max(load.latencies) * 1e3:,.1f} ms")
    print(
        f"allowed     {allowed * 1e3:,.1f} ms: stated delay {stated * 1e3:,.1f} ms "
        f"+ longest batch {timed.longest * 1e3:,.1f} ms"
    )
    print(
        f"memory      {start_bytes / 1e6:,.1f} MB at the start, {end_bytes / 1e6:,.1f} MB at the end, "
        f"{peak_bytes / 1e6:,.1f} MB at most"
    )
    checks = {
        "every accepted request was answered": answered == accepted == load.sent - load.refused and not load.failed,
        "p99 is within the stated delay plus the service time": bool(p99 <= allowed),
        "memory is bounded (peak within a tenth of the start)": peak_bytes <= start_bytes * 1.1,
    }
    for name, passed in checks.items():
        print(f"{'yes' if passed else 'NO ':<12}{name}")
    return 0 if all(checks.values()) else 1


async def _measure_capacity(judge: Any, rows: Iterator[Row], max_queue: int, seconds: float) -> float:
    """Measure rows per second while half as many callers as the queue holds send one row after the other."""
    end = time.monotonic() + seconds

    async def caller() -> int:
        done = 0
        while time.monotonic() < end:
            await _ask(judge, next(rows))
            done += 1
        return done

    start = time.monotonic()
    counts = await asyncio.gather(*(caller() for _ in range(max(1, max_queue // 2))))
    return sum(counts) / (time.monotonic() - start)


async def _run_open_loop(
    judge: Any, rows: Iterator[Row], rate: float, seconds: float, process: psutil.Process
) -> tuple[Load, int]:
    """Send `rate` requests per second, late ones at once.

    Returns:
        The outcome, and the largest resident memory in bytes.
    """
    load = Load()
    tasks: set[asyncio.Task[None]] = set()

    async def request(row: Row, due: float) -> None:
        try:
            await _ask(judge, row)
        except assay.OverloadedError:
            load.refused += 1
        except assay.AssayError:
            load.failed += 1
        else:
            load.latencies.append(time.monotonic() - due)

    start, peak = time.monotonic(), 0
    total = int(rate * seconds)
    while load.sent < total:
        now = time.monotonic() - start
        while load.sent < min(total, now * rate):
            task = asyncio.create_task(request(next(rows), start + load.sent / rate))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            load.sent += 1
        peak = max(peak, process.memory_info().rss)
        await asyncio.sleep(_TICK)
    await asyncio.gather(*tasks)
    return load, max(peak, process.memory_info().rss)


async def _ask(judge: Any, row: Row) -> None:
    await judge.logits([row])


def _make_rows(kind: Kind) -> list[Row]:
    texts = [" ".join(itertools.islice(itertools.cycle(WORDS), start, start + n)) for start, n in enumerate(LENGTHS)]
    return [("Why does it rain?", text) for text in texts] if kind == "pair" else list(texts)


if __name__ == "__main__":
    sys.exit(main())
