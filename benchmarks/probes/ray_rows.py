"""Annotates many rows through Ray Data, kills a worker in the middle, and compares the answers with those of annotate.

    python -m benchmarks.probes.ray_rows BUNDLE [--rows 1000000] [--actors 2]

Rows are the built-in calibration text with a number in front. `assay annotate` answers them file to file. Then
Ray Data reads the same file, and actors with a CPU each answer it (`assay.integrations.ray`). Once a tenth of the rows
should be done, one actor's process gets SIGKILL. The answers must be those of annotate, row by row: the same labels and
the same bits of the scores. One CPU more than actors is declared to Ray, for its own tasks.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import assay
from assay.annotate import annotate_file
from assay.bundle import manifest
from assay.optional_packages import require
from benchmarks import ROOT
from benchmarks.command_line import make_parser, parse_count, run_measurement
from benchmarks.errors import BenchmarkError
from benchmarks.inputs.calibration import read_calibration

__all__ = ["main"]

ROWS_OF_A_BATCH = 1_024
NAMES = ("text", "text_pair")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0, or 1 with one line on standard error.
    """
    parser = make_parser("ray_rows", __doc__)
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument("--rows", type=parse_count, default=1_000_000, metavar="N", help="default: 1,000,000")
    parser.add_argument("--actors", type=parse_count, default=2, metavar="N", help="default: 2")
    return run_measurement(measure, parser.parse_args(arguments))


def measure(options: argparse.Namespace) -> None:
    """Answer the rows in a temporary folder.

    Raises:
        AssayError: As `compare_answers`.
    """
    with tempfile.TemporaryDirectory(prefix="assay-ray-") as folder:
        compare_answers(options.bundle.absolute(), options.rows, options.actors, Path(folder))


def compare_answers(bundle: Path, count: int, actors: int, folder: Path) -> None:
    """Answer the rows both ways, and print the rates and what differs.

    Raises:
        AssayError: Ray is missing, the bundle cannot be loaded, or an answer differs.
    """
    require("ray.data", "'ray[data]'", "this probe")
    described = manifest.read(bundle / manifest.MANIFEST_NAME)
    source, target = folder / "rows.jsonl", folder / "annotated.jsonl"
    names = NAMES[: 2 if described.input == "pair" else 1]
    write_rows(source, described.input, count)
    columns = ["label", "score"] if described.task == "classification" else ["score"]

    start = time.perf_counter()
    with assay.load(bundle, mode="throughput") as model:
        annotate_file(model, source, target, truncate=True)
    alone = time.perf_counter() - start
    print(f"annotate: {count:,} rows in {alone:.0f} s, {count / alone:,.0f} rows/s", flush=True)

    start = time.perf_counter()
    options = {"bundle": str(bundle), ("pair" if len(names) == 2 else "text"): names if len(names) == 2 else names[0]}
    answers, killed = run_ray(source, {**options, "columns": columns, "truncate": True}, actors, alone / 10)
    seconds = time.perf_counter() - start
    what = f"the actor with process {killed} killed" if killed else "no actor killed: it ended too soon"
    print(f"Ray Data, {actors} actors, {what}: {seconds:.0f} s, {count / seconds:,.0f} rows/s", flush=True)
    different = count_different(read_lines(target), answers, columns)
    print(f"{different} of {count:,} rows differ")
    if different:
        raise BenchmarkError(f"{different} of {count:,} answers through Ray Data differ from those of annotate")


def write_rows(path: Path, kind: Any, count: int) -> None:
    """Write `count` rows with their number as `id`."""
    texts = read_calibration(kind)
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            text = texts[number % len(texts)]
            row = (text,) if isinstance(text, str) else text
            fields = dict(zip(NAMES, (f"{number}. {row[0]}", *row[1:]), strict=False))
            file.write(json.dumps({"id": number, **fields}) + "\n")


def run_ray(source: Path, options: dict[str, Any], actors: int, delay: float) -> tuple[dict[str, Any], int | None]:
    """Answer the rows of a file in actors, and kill one after `delay` seconds of their work.

    Returns:
        Arrays of all rows by column, in the order of `id`; and the process that was killed.
    """
    import ray

    path = os.pathsep.join([str(ROOT / "runtime"), os.environ.get("PYTHONPATH", "")])
    ray.init(
        num_cpus=actors + 1,
        include_dashboard=False,
        log_to_driver=False,
        configure_logging=False,
        object_store_memory=2_000_000_000,
        runtime_env={"env_vars": {"PYTHONPATH": path}},
    )
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        data = ray.data.read_json(str(source), override_num_blocks=max(actors, min(200, source.stat().st_size >> 20)))
        answered = data.map_batches(
            assay.integrations.ray.Annotator,
            fn_constructor_kwargs=options,
            compute=ray.data.ActorPoolStrategy(size=actors),
            num_cpus=1,
            batch_size=ROWS_OF_A_BATCH,
        ).select_columns(["id", *options["columns"]])
        killer = Killer(delay)
        killer.start()
        batches = list(answered.iter_batches(batch_size=None, batch_format="numpy"))
        killer.stop()
    finally:
        ray.shutdown()
    merged = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    order = np.argsort(merged["id"], kind="stable")
    return {name: values[order] for name, values in merged.items()}, killer.killed


class Killer(threading.Thread):
    """Kills the process of an actor some seconds after the first one appeared."""

    def __init__(self, delay: float) -> None:
        super().__init__(daemon=True)
        self.killed: int | None = None
        self._delay = delay
        self._ended = threading.Event()

    def run(self) -> None:
        """Wait for an actor, then for the delay, then kill the actor that is the first one then."""
        while not list(find_actors()):
            if self._ended.wait(0.2):
                return
        if self._ended.wait(self._delay):
            return
        for process in find_actors():
            os.kill(process, signal.SIGKILL)
            self.killed = process
            return

    def stop(self) -> None:
        """End the wait: there is nothing left to kill."""
        self._ended.set()
        self.join()


def find_actors() -> Iterator[int]:
    """Yield the processes of Ray's actors that answer for Assay: Ray puts the name of the class in their title."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            title = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if title.startswith(b"ray::") and b"Annotator" in title:
            yield int(folder.name)


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Read a JSONL file."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def count_different(rows: Iterable[dict[str, Any]], answers: dict[str, Any], columns: list[str]) -> int:
    """Count the rows whose answers differ: labels as text, scores as the bits of float32.

    Raises:
        BenchmarkError: Rows are missing or answered twice.
    """
    ids = answers["id"]
    if not np.array_equal(ids, np.arange(len(ids))):
        raise BenchmarkError(f"Ray Data returned {len(ids):,} rows, not each of them once")
    different = count = 0
    for row in rows:
        if count < len(ids):
            same = [
                (np.float32(row[name]) if name == "score" else row[name]) == answers[name][count] for name in columns
            ]
            different += not all(same)
        count += 1
    if count != len(ids):
        raise BenchmarkError(f"Ray Data returned {len(ids):,} rows, annotate {count:,}")
    return different


if __name__ == "__main__":
    sys.exit(main())
