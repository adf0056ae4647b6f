"""Times the int8 variant against its peers on the CPU, in one run and in turns.

    python -m benchmarks.probes.int8_peers CHECKPOINT BUNDLE [--torch] [--lengths 16,64,...] [--rounds N] [--json FILE]

The peers are the bundle's int8 graph in the runtime's session; OpenVINO int8, which NNCF makes of the bundle's portable
fp32 graph; the bare int8 products of the same layers, on assay-kernels (the linear layers of the graph and nothing
else) and on ONNX Runtime; and with --torch the checkpoint in PyTorch. There are two modes: one sequence at a time on
all cores, and many sequences with one core each.

The floor of a length is the longer of the linear layers' operations at the int8 peak and of their int8 weights at the
read bandwidth, both of all cores together and measured in this run (`benchmarks.machine.peaks`). The share of the floor
is that time over assay's.

In every round each peer gets one turn on the same texts, and a ratio is taken within its round (`benchmarks.timing`):
the tables show its median over the rounds, the least and the greatest. Peers that wait for their turn sleep. How each
peer is set up is in `benchmarks.engines`.
"""

import argparse
import dataclasses
import importlib.metadata
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from assay.bundle import manifest
from assay.optional_packages import require
from benchmarks.command_line import add_json, add_nncf_options, make_parser, parse_count, parse_counts, run_measurement
from benchmarks.engines import openvino
from benchmarks.engines.kernel_products import bare_kernel_products
from benchmarks.engines.products import bare_products, compute_floor, read_layers
from benchmarks.engines.pytorch import open_checkpoint
from benchmarks.engines.session import choose_int8_graph, open_graph
from benchmarks.errors import BenchmarkError
from benchmarks.inputs.calibration import tokenise_calibration
from benchmarks.machine import peaks, usable_cores
from benchmarks.timing import Call, Ids, Turn, from_callers, one_at_a_time, ratio, round_robin, summarise

__all__ = ["main"]

ASSAY, OPENVINO, TORCH = "assay int8", "OpenVINO int8", "torch fp32"
KERNELS, PRODUCTS = "bare products of the kernels", "bare products of ONNX Runtime"
ONE, MANY = "one sequence at a time, all cores", "many sequences, one core each"
TURN_SECONDS = {ONE: 0.25, MANY: 0.5}  # the aim for a turn of the int8 graph, within the bounds below
FEWEST_CALLS, MOST_CALLS = 4, 32

Samples = dict[str, dict[int, dict[str, list[float]]]]  # mode, length, peer: milliseconds per sequence by round


def format_table(samples: Mapping[int, Mapping[str, Sequence[float]]], floors: Mapping[int, float]) -> str:
    """Format a Markdown table of one mode: median milliseconds, the share of the floor and the ratios.

    Args:
        samples: Milliseconds by length and peer.
        floors: Milliseconds by length.
    """
    names = list(next(iter(samples.values())))
    pairs = [(ASSAY, name) for name in (OPENVINO, KERNELS, PRODUCTS) if name in names]
    pairs += [(TORCH, ASSAY)] if TORCH in names else []
    head = ["tokens", *(f"{name}, ms" for name in names), "floor, ms", f"floor / {ASSAY}"]
    head += [f"{ours} / {theirs}" for ours, theirs in pairs]
    lines = [head, ["---"] * len(head)]
    for length, times in samples.items():
        medians = [f"{statistics.median(times[name]):.1f}" for name in names]
        share = summarise([floors[length] / value for value in times[ASSAY]])
        ratios = [str(ratio(times[a], times[b])) for a, b in pairs]
        lines.append([str(length), *medians, f"{floors[length]:.2f}", str(share), *ratios])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cut(rows: Sequence[Ids], length: int, count: int) -> list[Ids]:
    """Cut `count` sequences of `length` tokens out of the rows' text, with a special token at either end."""
    text = np.concatenate([row[0, 1:-1] for row in rows])
    inner = np.resize(text, (count, length - 2))  # repeats the text as often as needed
    first, last = np.full((count, 1), rows[0][0, 0]), np.full((count, 1), rows[0][0, -1])
    return list(np.hstack([first, inner, last])[:, None])


def count_calls(mode: str, seconds: float, cores: int) -> int:
    """Return the number of sequences of a turn, a multiple of `cores`, if the int8 graph takes `seconds` for one."""
    wanted = min(max(int(TURN_SECONDS[mode] / seconds), FEWEST_CALLS), MOST_CALLS)
    return -(-wanted // cores) * cores


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Take all turns. Tables go to standard output as they are done, progress goes to standard error.

    Returns:
        What --json writes.

    Raises:
        AssayError: A peer is not installed, or the bundle or a length does not fit the comparison.
    """
    openvino.require_openvino()
    for package in ("onnx", *(("torch", "transformers") if options.torch else ())):
        require(package, "'assay[export]'", "the comparison of int8 peers")
    bundle, cores, load = options.bundle, usable_cores(), os.getloadavg()
    described = manifest.read(bundle / manifest.MANIFEST_NAME)
    if unfit := [length for length in options.lengths if not 3 <= length <= described.max_length]:
        raise BenchmarkError(f"--lengths has {unfit[0]}, expected 3 to {described.max_length}, the bundle's max_length")
    int8, graph = choose_int8_graph(bundle, described, options.int8)
    folder = options.work / openvino.name_quantised(described)
    show_progress(
        f"OpenVINO int8 in {folder}" if folder.exists() else f"quantising for OpenVINO into {folder}: minutes, once"
    )
    quantised = openvino.quantise(bundle, described, folder)
    layers = read_layers(bundle / described.variants["fp32"]["portable"].file)
    measured = peaks.measure()
    rows = tokenise_calibration(bundle, described)

    openvino_one, precision = openvino.one_request(quantised, cores)
    packages = ["onnxruntime", "openvino", "nncf", *(["torch", "transformers"] if options.torch else [])]
    result: dict[str, Any] = {
        "model": described.name,
        "int8_graph": int8.name,
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "openvino_precision_beside_int8": precision,
        "threads": {ONE: f"{cores} per run", MANY: f"1 per run, {cores} callers or streams"},
        "load_average_at_start": load,
        "milliseconds": {},
    }
    print(f"{described.name}, {int8.name}: " + ", ".join(f"{k} {v}" for k, v in result["versions"].items()), end="")
    print(f"; OpenVINO computes in {precision} what is not int8; {options.rounds} rounds; ", end="")
    print(f"load average at the start {load[0]:.1f}, near 0 on a quiet machine")
    samples: Samples = result["milliseconds"]
    for mode in (ONE, MANY):
        threads = cores if mode == ONE else 1
        calls: dict[str, Call] = {ASSAY: open_graph(int8, graph, len(described.labels), threads)}
        if graph.is_packed:
            calls[KERNELS] = bare_kernel_products(int8, threads)
        calls[PRODUCTS] = bare_products(layers, threads)
        if options.torch and mode == ONE:
            calls[TORCH] = open_checkpoint(options.checkpoint, cores)
        turns: dict[str, Turn] = {
            name: one_at_a_time(call) if mode == ONE else from_callers(call, cores) for name, call in calls.items()
        }
        turns[OPENVINO] = openvino_one if mode == ONE else openvino.many_requests(quantised, cores)
        samples[mode] = {}
        for length in options.lengths:
            begin = time.perf_counter()
            turns[ASSAY](cut(rows, length, cores))
            seconds = turns[ASSAY](cut(rows, length, cores))
            texts = cut(rows, length, count_calls(mode, seconds, cores))
            times = round_robin({name: partial(turn, texts) for name, turn in turns.items()}, options.rounds)
            samples[mode][length] = {name: [value * 1e3 for value in values] for name, values in times.items()}
            show_progress(f"{mode}: {length} tokens, {len(texts)} a turn, {time.perf_counter() - begin:.0f} s")
        measured = measured.join(peaks.measure())  # other work on the machine can only lower a measurement
        floors = {
            length: compute_floor(layers, length, measured.int8, measured.bytes_per_second) * 1e3
            for length in options.lengths
        }
        table = format_table(samples[mode], floors)
        print(f"\n{mode} (threads: {result['threads'][mode]})\n\n{table}", flush=True)
    result["floor_milliseconds"], result["peaks"] = floors, dataclasses.asdict(measured)
    print(f"\n{measured}")
    return result


def show_progress(text: str) -> None:
    """Print progress on standard error."""
    print(text, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0, or 1 with one line on standard error.
    """
    parser = make_parser("int8_peers", __doc__)
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="checkpoint of the bundle, for --torch")
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="bundle of a DeBERTa or ModernBERT, fp32 and int8")
    parser.add_argument(
        "--lengths", type=parse_counts, default="16,32,64,128,256,512", help="tokens, special tokens included"
    )
    parser.add_argument("--rounds", type=parse_count, default=9, help="turns of each peer; default: 9")
    parser.add_argument("--torch", action="store_true", help="add PyTorch, one sequence at a time; slow")
    parser.add_argument("--int8", type=Path, metavar="FILE", help="measure this int8 graph instead of the bundle's")
    add_nncf_options(parser, ungated=False)
    add_json(parser, "the milliseconds of every turn")
    return run_measurement(measure, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
