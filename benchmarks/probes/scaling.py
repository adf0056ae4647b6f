"""How the time of answers grows with tokens, threads and rows.

    python -m benchmarks.probes.scaling BUNDLE [--lengths 16,64,...] [--threads 1,2,...] [--rows 1,10,...,100000]

- Lengths: one row at a time, and the cost model that fits the times: a call, a token, a token squared.
- Threads: one row of `--tokens` tokens with 1, 2, 4, ... threads of the usable cores.
- Rows: `assay annotate` from one JSONL file to another, with the resident memory after each file. The rows are those of
  the suite's throughput, over and over. A file that would take longer than `--limit` seconds is left out and named.
"""

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import psutil

import assay
from assay.annotate import annotate_file
from assay.inputs.tokenization import BundleTokenizer
from assay.models.base import Model
from benchmarks import machine
from benchmarks.command_line import add_json, make_parser, parse_count, parse_counts, run_measurement
from benchmarks.cost import FEWEST_LENGTHS, Cost, fit_cost
from benchmarks.errors import BenchmarkError
from benchmarks.inputs.texts import choose_throughput_rows, make_rows
from benchmarks.timing import round_robin

__all__ = ["main"]

LENGTHS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
ROWS = (1, 10, 100, 1_000, 10_000, 100_000)
DIFFERENT_ROWS = 512
TURN_SECONDS = 0.3  # calls of a short row are repeated until a turn takes about as long


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0, or 1 with one line on standard error.
    """
    parser = make_parser("scaling", __doc__)
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument("--variant", default="auto", help="variant to load; default: auto")
    parser.add_argument(
        "--lengths", type=parse_counts, metavar="N,N", help="tokens; default: 16 to 8,192, as far as the model reads"
    )
    parser.add_argument("--threads", type=parse_counts, metavar="N,N", help="default: 1, 2, 4, ... to the usable cores")
    parser.add_argument("--tokens", type=int, default=128, metavar="N", help="tokens of a row for --threads")
    parser.add_argument(
        "--rows", type=_parse_rows, default=ROWS, metavar="N,N", help="default: 1 to 100,000; '' for none"
    )
    parser.add_argument(
        "--rounds", type=parse_count, default=5, metavar="N", help="turns of lengths and threads; default: 5"
    )
    parser.add_argument("--limit", type=float, default=300, metavar="S", help="seconds of one file; default: 300")
    add_json(parser, "all times")
    return run_measurement(measure, parser.parse_args(arguments))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure lengths, threads and rows, and print a table of each.

    Returns:
        What --json writes.

    Raises:
        AssayError: The bundle cannot be loaded, or reads fewer tokens than asked for.
    """
    cores = machine.usable_cores()
    threads = options.threads if options.threads is not None else double_up(cores)
    with assay.load(options.bundle, variant=options.variant) as model:
        info, most = model.info, model.manifest.max_length
        if long := [length for length in options.lengths or () if length > most]:
            raise BenchmarkError(f"--lengths has {long[0]}, but {model.manifest.name} reads at most {most} tokens")
        lengths = [length for length in LENGTHS if length <= most] if options.lengths is None else options.lengths
        print(f"{model.manifest.name}, {info['variant']}, {info['threads']} threads; {machine.describe()['processor']}")
        result: dict[str, Any] = {"machine": machine.describe(), "variant": info["variant"]}
        if lengths:
            result["lengths"] = time_lengths(model, lengths, options.rounds)
            print(format_lengths(result["lengths"]), flush=True)
            # ru_maxrss is in KiB on Linux. Nothing larger ran before in this process.
            result["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
            print(f"\nPeak memory of the process, mapped weights included: {result['peak_bytes'] / 1e6:,.0f} MB.")
    if threads:
        tokens = min(options.tokens, most)
        result["threads"] = time_threads(options.bundle, options.variant, threads, tokens, options.rounds)
        print(format_threads(result["threads"], tokens), flush=True)
    if options.rows:
        with assay.load(options.bundle, variant=options.variant, mode="throughput") as model:
            result["rows"] = annotate_rows(model, sorted(options.rows), options.limit)
        print(format_rows(result["rows"], options.limit), flush=True)
    return result


def double_up(cores: int) -> list[int]:
    """Return 1, 2, 4, ... and at last the number of cores."""
    return sorted({cores, *(1 << power for power in range(cores.bit_length()) if 1 << power <= cores)})


def time_lengths(model: Model, lengths: Sequence[int], rounds: int) -> dict[str, list[float]]:
    """Time one row of each length, and return seconds by the tokens that the row has."""
    manifest = model.manifest
    tokenizer = _open_tokenizer(model)
    turns = {}
    for length in lengths:
        row = make_rows(tokenizer, manifest.input, length, 1)
        (tokens,) = tokenizer.encode(row, True, 0)
        turns[str(len(tokens.ids))] = partial(time_calls, partial(model.logits, row, truncate=True))
    return round_robin(turns, rounds)


def time_threads(bundle: Path, variant: str, counts: Sequence[int], tokens: int, rounds: int) -> dict[str, list[float]]:
    """Time one row with each number of threads, and return seconds by that number."""
    models = {count: assay.load(bundle, variant=variant, threads=count) for count in counts}
    try:
        first = models[counts[0]]
        row = make_rows(_open_tokenizer(first), first.manifest.input, tokens, 1)
        calls = {
            str(count): partial(time_calls, partial(model.logits, row, truncate=True))
            for count, model in models.items()
        }
        return round_robin(calls, rounds)
    finally:
        for model in models.values():
            model.close()


def time_calls(call: Callable[[], object]) -> float:
    """Return the median seconds of some calls: of as many as a turn has time for."""
    times: list[float] = []
    begin = time.perf_counter()
    while not times or time.perf_counter() - begin < TURN_SECONDS:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def annotate_rows(model: Model, counts: Sequence[int], limit: float) -> dict[str, dict[str, float]]:
    """Annotate files of so many rows, smallest first, and return seconds and resident bytes by rows.

    A file that the one before says would take longer than `limit` seconds is left out.
    """
    manifest = model.manifest
    rows, _ = choose_throughput_rows(_open_tokenizer(model), manifest.input, manifest.max_length, DIFFERENT_ROWS)
    names = ("text", "text_pair")
    lines = [json.dumps(dict(zip(names, (row,) if isinstance(row, str) else row, strict=False))) for row in rows]
    found: dict[str, dict[str, float]] = {}
    rate = 0.0
    model.logits(rows[:8], truncate=True)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "rows.jsonl", Path(folder) / "answers.jsonl"
        for count in counts:
            if rate and count / rate > limit:
                continue
            with source.open("w", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in islice(cycle(lines), count))
            start = time.perf_counter()
            annotate_file(model, source, target, truncate=True, force=True)
            seconds = time.perf_counter() - start
            found[str(count)] = {"seconds": seconds, "resident_bytes": psutil.Process().memory_info().rss}
            rate = count / seconds
    return found | {str(count): {} for count in counts if str(count) not in found}


def format_lengths(times: Mapping[str, Sequence[float]]) -> str:
    """Format a table of the lengths, with the fitted cost if there are enough."""
    medians = {int(tokens): statistics.median(seconds) for tokens, seconds in times.items()}
    cost = fit_cost(list(medians), list(medians.values())) if len(medians) >= FEWEST_LENGTHS else None
    rows = [_format_length(tokens, seconds, cost) for tokens, seconds in medians.items()]
    table = ["", "| tokens | ms | tokens/s | fitted, ms |", "| --- | --- | --- | --- |", *rows]
    if cost:
        table += ["", f"Fitted cost of n tokens: {cost}; largest error {cost.worst:.0%}."]
    return "\n".join(table)


def _format_length(tokens: int, seconds: float, cost: Cost | None) -> str:
    fitted = f"{cost.predict(tokens) * 1e3:.2f}" if cost else "-"
    return f"| {tokens:,} | {seconds * 1e3:.2f} | {tokens / seconds:,.0f} | {fitted} |"


def format_threads(times: Mapping[str, Sequence[float]], tokens: int) -> str:
    """Format a table of the threads. Efficiency is against the fewest threads that were measured."""
    medians = {int(count): statistics.median(seconds) for count, seconds in times.items()}
    fewest = min(medians)
    lines = ["", f"| threads, {tokens} tokens | ms | times as fast | efficiency |", "| --- | --- | --- | --- |"]
    for count, seconds in medians.items():
        gain = medians[fewest] / seconds
        lines.append(f"| {count} | {seconds * 1e3:.2f} | {gain:.2f} | {gain * fewest / count:.0%} |")
    return "\n".join(lines)


def format_rows(found: Mapping[str, Mapping[str, float]], limit: float) -> str:
    """Format a table of the files."""
    lines = ["", "| rows of a file | s | rows/s | resident, MB |", "| --- | --- | --- | --- |"]
    for count, measured in found.items():
        if measured:
            seconds, resident = measured["seconds"], measured["resident_bytes"]
            lines.append(f"| {int(count):,} | {seconds:.2f} | {int(count) / seconds:,.1f} | {resident / 1e6:,.0f} |")
    left_out = [f"{int(count):,}" for count, measured in found.items() if not measured]
    if left_out:
        lines += ["", f"Left out, because they would take longer than {limit:g} s: {', '.join(left_out)} rows."]
    return "\n".join(lines)


def _open_tokenizer(model: Model) -> BundleTokenizer:
    manifest = model.manifest
    data = (Path(model.info["path"]) / "tokenizer.json").read_bytes()
    return BundleTokenizer(data, manifest.input, manifest.max_length, "longest_first")


def _parse_rows(words: str) -> list[int]:
    return parse_counts(words) if words else []


if __name__ == "__main__":
    sys.exit(main())
