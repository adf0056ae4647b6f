"""Measures tokens per second by the most tokens that packed rows share a call with: PACKED_TOKENS_PER_CALL.

    python -m benchmarks.probes.packed_tokens BUNDLE [--int8 FILE] [--budgets 64,128,...] [--rows N] [--rounds N]

Rows of realistic lengths are tokenised once. Then the runtime's engine answers all of them with each budget in turn, in
both modes: one call at a time on all cores, and one call per core. The column of ratios divides the time of a budget by
that of the constant in `assay.ort.batching`, round by round.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

from assay.bundle import manifest
from assay.inputs.tokenization import BundleTokenizer
from assay.ort.batching import PACKED_TOKENS_PER_CALL, PACKED_TOKENS_PER_CALL_OF_A_CORE, Mode, pack
from assay.ort.engine import Engine
from benchmarks.command_line import add_json, make_parser, parse_count, parse_counts, run_measurement
from benchmarks.engines.session import choose_int8_graph, open_session
from benchmarks.errors import BenchmarkError
from benchmarks.inputs.texts import choose_throughput_rows
from benchmarks.machine import peaks, usable_cores
from benchmarks.timing import ratio, round_robin

__all__ = ["main"]

CONSTANTS: dict[Mode, int] = {"latency": PACKED_TOKENS_PER_CALL, "throughput": PACKED_TOKENS_PER_CALL_OF_A_CORE}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0, or 1 with one line on standard error.
    """
    parser = make_parser("packed_tokens", __doc__)
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="bundle with the variant int8")
    parser.add_argument("--int8", type=Path, metavar="FILE", help="measure this int8 graph instead of the bundle's")
    parser.add_argument(
        "--budgets", type=parse_counts, default="64,128,256,512,1024,2048,4096", metavar="N,N", help="tokens of a call"
    )
    parser.add_argument("--rows", type=parse_count, default=192, metavar="N", help="rows of a turn; default: 192")
    parser.add_argument("--rounds", type=parse_count, default=7, metavar="N", help="turns of each budget; default: 7")
    add_json(parser, "the seconds of every turn")
    return run_measurement(measure, parser.parse_args(arguments))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Take the turns and print a table per mode.

    Returns:
        What --json writes.

    Raises:
        AssayError: The bundle has no int8 graph or cannot be loaded.
    """
    described = manifest.read(options.bundle / manifest.MANIFEST_NAME)
    path, graph = choose_int8_graph(options.bundle, described, options.int8)
    if not graph.is_packed:
        raise BenchmarkError(f"{path} is not a graph for assay-kernels, whose rows are packed: pass that of int8")
    data = (options.bundle / "tokenizer.json").read_bytes()
    tokenizer = BundleTokenizer(data, described.input, described.max_length, "longest_first")
    rows, source = choose_throughput_rows(tokenizer, described.input, described.max_length, options.rows)
    tokens = tokenizer.encode(rows, True, 0)
    count, cores, labels = sum(len(row.ids) for row in tokens), usable_cores(), len(described.labels)
    print(f"{described.name}, {path.name}: {len(rows)} rows ({source}), {count} tokens, {options.rounds} rounds")
    measured = peaks.measure()
    result: dict[str, Any] = {"model": described.name, "tokens": count, "seconds": {}}
    for mode in get_args(Mode):
        session = open_session(path, graph, labels, cores if mode == "latency" else 1)
        turns: dict[str, Callable[[], float]] = {}
        for budget in sorted({*options.budgets, CONSTANTS[mode]}):
            engine = Engine(session, 1 if mode == "latency" else cores, partial(pack, budget=budget))
            turns[str(budget)] = partial(time_call, partial(engine.answer, tokens, labels))
        result["seconds"][mode] = round_robin(turns, options.rounds)
        print(f"\n{mode}\n\n{format_table(result['seconds'][mode], count, CONSTANTS[mode])}", flush=True)
    measured = measured.join(peaks.measure())
    print(f"\n{measured}")
    return result


def format_table(seconds: Mapping[str, Sequence[float]], tokens: int, constant: int) -> str:
    """Format a Markdown table: tokens per second in the median and the range, and the time over the constant's."""
    lines = [f"| tokens of a call | tokens/s | time / that of {constant:,} |", "|---|---|---|"]
    for budget, values in seconds.items():
        rates = [tokens / value for value in values]
        spread = f"{statistics.median(rates):,.0f} ({min(rates):,.0f}..{max(rates):,.0f})"
        lines.append(f"| {int(budget):,} | {spread} | {ratio(values, seconds[str(constant)])} |")
    return "\n".join(lines)


def time_call(call: Callable[[], object]) -> float:
    """Return the seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
