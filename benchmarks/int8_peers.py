"""Time of the int8 variant against its peers on the CPU, all in one run and in turns.

    python -m benchmarks.int8_peers CHECKPOINT BUNDLE [--torch] [--lengths 16,64,...] [--rounds N] [--json FILE]

Peers: the bundle's int8 graph in the runtime's session; OpenVINO int8, quantised by NNCF from the bundle's portable
fp32 graph; the bare int8 products of the same layers on ONNX Runtime, which is the floor; and with --torch the
checkpoint in PyTorch. Two modes: one sequence at a time on all cores, and many sequences with one core each.

A shared machine drifts, so milliseconds of two runs cannot be compared. Here every round gives every peer one turn on
the same texts, the first in one round being the last in the next, and a ratio is taken within its round: the tables
show its median over the rounds and its least and greatest. Peers that wait their turn sleep. What a turn is, and how
each peer is set up, is in benchmarks/peers.py.
"""

import argparse
import importlib.metadata
import json
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np

from assay.bundle import manifest
from assay.bundle.manifest import Graph, Manifest
from assay.errors import AssayError
from assay.inputs.files import read_rows
from assay.inputs.tokenization import BundleTokenizer
from assay.threads import usable_cores
from benchmarks import peers
from benchmarks.peers import Ids, PeerError, Turn
from benchmarks.suite.statistics import ratio

ASSAY, OPENVINO, FLOOR, TORCH = "assay int8", "OpenVINO int8", "bare int8 products", "torch fp32"
ONE, MANY = "one sequence at a time, all cores", "many sequences, one core each"
CALIBRATION = {"pair": "calibration_pairs.jsonl", "text": "calibration_instructions.jsonl"}
CALIBRATION_ROWS, CALIBRATION_TOKENS = 64, 256  # for NNCF: rows, and the tokens that each is cut to
TURN_SECONDS = {ONE: 0.25, MANY: 0.5}  # aimed at for the int8 graph's turn, within the bounds below
FEWEST_CALLS, MOST_CALLS = 4, 32

Samples = dict[str, dict[int, dict[str, list[float]]]]  # mode, length, peer: milliseconds per sequence by round


def round_robin(turns: Mapping[str, Turn], texts: Sequence[Ids], rounds: int) -> dict[str, list[float]]:
    """Milliseconds per sequence of every peer, [rounds]. A turn of each before the first round is not counted."""
    for turn in turns.values():
        turn(texts)
    order = list(turns)
    samples: dict[str, list[float]] = {name: [] for name in order}
    for _ in range(rounds):
        for name in order:
            samples[name].append(turns[name](texts) * 1e3)
        order.append(order.pop(0))
    return samples


def table(samples: Mapping[int, Mapping[str, Sequence[float]]]) -> str:
    """A Markdown table of one mode: medians of the milliseconds, and the ratios that the targets are set in."""
    names = list(next(iter(samples.values())))
    pairs = [(ASSAY, OPENVINO), (ASSAY, FLOOR), *([(TORCH, ASSAY)] if TORCH in names else [])]
    head = ["tokens", *(f"{name}, ms" for name in names), *(f"{ours} / {theirs}" for ours, theirs in pairs)]
    lines = [head, ["---"] * len(head)]
    for length, times in samples.items():
        medians = [f"{statistics.median(times[name]):.1f}" for name in names]
        lines.append([str(length), *medians, *(str(ratio(times[a], times[b])) for a, b in pairs)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def tokenised_rows(bundle: Path, described: Manifest) -> list[Ids]:
    """The built-in calibration texts as token ids [1, sequence], special tokens included."""
    with as_file(files("assay_export.texts") / CALIBRATION[described.input]) as path:
        rows = read_rows(path, described.input)
    data = (bundle / "tokenizer.json").read_bytes()
    tokenizer = BundleTokenizer(data, described.input, described.max_length, described.truncation)
    return [tokens.ids[None] for tokens in tokenizer.encode(rows, True, 0)]


def cut(rows: Sequence[Ids], length: int, count: int) -> list[Ids]:
    """`count` sequences of exactly `length` tokens out of the rows' text, between the first and last special token."""
    text = np.concatenate([row[0, 1:-1] for row in rows])
    inner = np.resize(text, (count, length - 2))  # starts the text again where it ends
    first, last = np.full((count, 1), rows[0][0, 0]), np.full((count, 1), rows[0][0, -1])
    return list(np.hstack([first, inner, last])[:, None])


def calls_per_turn(mode: str, seconds: float, cores: int) -> int:
    """How many sequences a turn takes where the int8 graph needs `seconds` for one: a multiple of `cores`."""
    wanted = min(max(int(TURN_SECONDS[mode] / seconds), FEWEST_CALLS), MOST_CALLS)
    return -(-wanted // cores) * cores


def int8_graph(bundle: Path, described: Manifest, given: Path | None) -> tuple[Path, Graph]:
    """The graph to measure: `given`, or the bundle's int8 variant."""
    if given is not None:
        inputs = peers.require("onnx").load(str(given), load_external_data=False).graph.input
        return given, Graph(given.name, (), tuple(value.name for value in inputs), "basic", {})
    if "int8" not in described.variants:
        raise PeerError(f"{bundle} has no int8 variant: export it with --variants fp32,int8, or pass --int8 FILE")
    graph = described.variants["int8"]["cpu"]
    return bundle / graph.file, graph


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything that --json holds; tables go to standard output as they are done, progress to standard error.

    Raises:
        AssayError: a peer is not installed, or the bundle or a length is not fit for the comparison.
    """
    for package in ("openvino", "nncf", "onnx", *(("torch", "transformers") if options.torch else ())):
        peers.require(package)
    bundle, cores, load = options.bundle, usable_cores(), os.getloadavg()
    described = manifest.read(bundle / manifest.MANIFEST_NAME)
    if unfit := [length for length in options.lengths if not 3 <= length <= described.max_length]:
        raise PeerError(f"--lengths has {unfit[0]}, expected 3 to {described.max_length}, this bundle's max_length")
    int8, graph = int8_graph(bundle, described, options.int8)
    portable = described.variants["fp32"]["portable"]
    rows = tokenised_rows(bundle, described)
    nncf = importlib.metadata.version("nncf")
    weights = described.files[portable.data[0] if portable.data else portable.file].sha256[:12]
    folder = options.work / f"{described.name}-{weights}-nncf-{nncf}-{CALIBRATION_ROWS}x{CALIBRATION_TOKENS}"
    progress(
        f"OpenVINO int8 in {folder}" if folder.exists() else f"quantising for OpenVINO into {folder}: minutes, once"
    )
    calibration = [row[:, :CALIBRATION_TOKENS] for row in rows[:: len(rows) // CALIBRATION_ROWS][:CALIBRATION_ROWS]]
    openvino = peers.openvino_int8(bundle / portable.file, calibration, folder)
    layers = peers.linear_layers(bundle / portable.file)

    openvino_one, precision = peers.openvino_one(openvino, cores)
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
    print(f"; OpenVINO computes in {precision} beside int8; {options.rounds} rounds; ", end="")
    print(f"load average at the start {load[0]:.1f}, where others' work is near 0 on a quiet machine")
    samples: Samples = result["milliseconds"]
    for mode in (ONE, MANY):
        if mode == ONE:
            turns: dict[str, Turn] = {
                ASSAY: peers.one_at_a_time(peers.assay_int8(int8, graph, len(described.labels), cores)),
                OPENVINO: openvino_one,
                FLOOR: peers.one_at_a_time(peers.bare_products(layers, cores)),
            }
            if options.torch:
                turns[TORCH] = peers.one_at_a_time(peers.torch_fp32(options.checkpoint, cores))
        else:
            turns = {
                ASSAY: peers.from_callers(peers.assay_int8(int8, graph, len(described.labels), 1), cores),
                OPENVINO: peers.openvino_many(openvino, cores),
                FLOOR: peers.from_callers(peers.bare_products(layers, 1), cores),
            }
        samples[mode] = {}
        for length in options.lengths:
            begin = time.perf_counter()
            turns[ASSAY](cut(rows, length, cores))
            seconds = turns[ASSAY](cut(rows, length, cores))
            texts = cut(rows, length, calls_per_turn(mode, seconds, cores))
            samples[mode][length] = round_robin(turns, texts, options.rounds)
            progress(f"{mode}: {length} tokens, {len(texts)} a turn, {time.perf_counter() - begin:.0f} s")
        print(f"\n{mode} (threads: {result['threads'][mode]})\n\n{table(samples[mode])}", flush=True)
    return result


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def lengths(text: str) -> list[int]:
    """The type of --lengths."""
    return [int(part) for part in text.split(",")]


def rounds(text: str) -> int:
    """The type of --rounds."""
    if int(text) < 1:
        raise ValueError("there must be a round")
    return int(text)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code: 0, or 1 with one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.int8_peers", description=__doc__.split("\n")[0])
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="what the bundle was made of, for --torch")
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="a bundle of the authored road, fp32 and int8")
    parser.add_argument("--lengths", type=lengths, default="16,32,64,128,256,512", help="tokens, special ones included")
    parser.add_argument("--rounds", type=rounds, default=9, help="turns that each peer gets; default: 9")
    parser.add_argument("--torch", action="store_true", help="also PyTorch in one sequence at a time; slow")
    parser.add_argument("--int8", type=Path, metavar="FILE", help="another int8 graph of the model than the bundle's")
    parser.add_argument(
        "--work", type=Path, default=Path("build/int8_peers"), metavar="FOLDER", help="keeps what NNCF quantised"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every turn's milliseconds there")
    options = parser.parse_args(arguments)
    try:
        result = measure(options)
        if options.json:
            options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    except AssayError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
