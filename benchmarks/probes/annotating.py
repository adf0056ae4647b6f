"""Measures what the files of `assay annotate` cost in addition to the answers.

    python -m benchmarks.probes.annotating BUNDLE [--rows 512] [--rounds 7]

One model, loaded for throughput, takes turns: it answers rows in memory, and it annotates a JSONL file of the same rows
into another. The rows are those of the suite's throughput: real text if there is any, else text of the same lengths.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import assay
from assay.annotate import annotate_file
from assay.inputs.tokenization import BundleTokenizer
from assay.inputs.validation import Row
from assay.models.classifier import Classifier
from assay.models.scorer import Scorer
from benchmarks.command_line import make_parser, parse_count, run_measurement
from benchmarks.inputs.texts import choose_throughput_rows
from benchmarks.timing import ratio, round_robin

__all__ = ["main"]

MEMORY, FILES = "in memory", "file to file"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0, or 1 with one line on standard error.
    """
    parser = make_parser("annotating", __doc__)
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument("--rows", type=parse_count, default=512, metavar="N", help="rows of a turn; default: 512")
    parser.add_argument("--rounds", type=parse_count, default=7, metavar="N", help="turns of each; default: 7")
    return run_measurement(measure, parser.parse_args(arguments))


def measure(options: argparse.Namespace) -> None:
    """Take the turns and print the rates.

    Raises:
        AssayError: The bundle cannot be loaded.
    """
    model = assay.load(options.bundle, mode="throughput")
    manifest = model.manifest
    data = (options.bundle / "tokenizer.json").read_bytes()
    tokenizer = BundleTokenizer(data, manifest.input, manifest.max_length, "longest_first")
    rows, source = choose_throughput_rows(tokenizer, manifest.input, manifest.max_length, options.rows)

    with tempfile.TemporaryDirectory() as folder:
        source_file, target = Path(folder) / "rows.jsonl", Path(folder) / "answers.jsonl"
        names = ("text", "text_pair")
        lines = [dict(zip(names, (row,) if isinstance(row, str) else row, strict=False)) for row in rows]
        source_file.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")

        def from_file() -> None:
            annotate_file(model, source_file, target, truncate=True, force=True)

        turns = {
            MEMORY: partial(time_call, partial(answer, model, rows)),
            FILES: partial(time_call, from_file),
        }
        times = round_robin(turns, options.rounds)
    print(f"{len(rows)} rows ({source}), {model.info['variant']}, {model.info['threads']} threads")
    for name, seconds in times.items():
        print(f"{name}: {len(rows) / sorted(seconds)[len(seconds) // 2]:.1f} rows/s")
    print(f"{FILES} / {MEMORY}: {ratio(times[FILES], times[MEMORY])}")


def answer(model: Classifier | Scorer, rows: list[Row]) -> None:
    """Answer the rows in memory."""
    if isinstance(model, Classifier):
        model.predict_batch(rows, truncate=True)
    else:
        model.score_batch(rows, truncate=True)


def time_call(call: Callable[[], None]) -> float:
    """Return the seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
