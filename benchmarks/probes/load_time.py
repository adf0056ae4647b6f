"""Times a fresh process from its start to its first answer: Python, imports, loading and the answer itself.

    python -m benchmarks.probes.load_time CHECKPOINT BUNDLE [--runs 9] [--ungated] [--work FOLDER]

The contenders are assay's int8 and fp32 (with the check of all hashes, as by default, and int8 without it), OpenVINO's
int8 (NNCF) and float32 of the portable graph, each without and with OpenVINO's model cache, and transformers in
float32. Every contender runs once before, which fills the page cache, OpenVINO's cache and Python's bytecode. Then they
take turns, one process after the other.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from assay.bundle import manifest
from assay.bundle.manifest import Manifest
from assay.optional_packages import require
from benchmarks import ROOT
from benchmarks.command_line import add_json, add_nncf_options, make_parser, parse_count, run_measurement
from benchmarks.engines import openvino
from benchmarks.errors import BenchmarkError
from benchmarks.inputs.calibration import read_calibration
from benchmarks.machine import peaks
from benchmarks.standins.ungated import choose_bundle
from benchmarks.timing import rotate

__all__ = ["main"]

STEPS = ("Python", "import", "load", "first answer")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0, or 1 with one line on standard error.
    """
    parser = make_parser("load_time", __doc__)
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="whole checkpoint, for transformers")
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument(
        "--runs", type=parse_count, default=9, metavar="N", help="processes of each contender; default: 9"
    )
    add_nncf_options(parser)
    add_json(parser, "the seconds of every run")
    return run_measurement(measure, parser.parse_args(arguments))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run the processes and print a table.

    Returns:
        What --json writes.

    Raises:
        AssayError: A contender is not installed or fails.
    """
    openvino.require_openvino()
    for package in ("torch", "transformers"):
        require(package, "'assay[export]'", "the comparison of start times")
    bundle = choose_bundle(options.bundle, options.checkpoint, options.work, options.ungated)
    described = manifest.read(bundle / manifest.MANIFEST_NAME)
    quantised = openvino.quantise(bundle, described, options.work / openvino.name_quantised(described))
    contenders = list_contenders(options.checkpoint, bundle, described, quantised, options.work)
    measured = peaks.measure()
    bytecode = options.work / "bytecode"
    for name, (kind, arguments) in contenders.items():
        print(f"first run of {name}", file=sys.stderr, flush=True)
        run(name, kind, arguments, bytecode)
    seconds: dict[str, list[list[float]]] = {name: [] for name in contenders}
    for number in range(options.runs):
        for name in rotate(list(contenders), number):
            seconds[name].append(run(name, *contenders[name], bytecode))
    measured = measured.join(peaks.measure())
    print(f"{described.name}: {options.runs} processes of each, files in the page cache\n\n{format_table(seconds)}")
    print(f"\n{measured}")
    return {"model": described.name, "steps": STEPS, "seconds": seconds}


def list_contenders(
    checkpoint: Path, bundle: Path, described: Manifest, quantised: Path, work: Path
) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return by name what `benchmarks.engines.first_answer` runs: its kind and arguments."""
    first = read_calibration(described.input)[0]
    row = [first] if isinstance(first, str) else list(first)
    place, tokenizer = str(bundle), str(bundle / "tokenizer.json")
    portable = str(bundle / described.variants["fp32"]["portable"].file)
    contenders: dict[str, tuple[str, dict[str, Any]]] = {
        "assay int8": ("assay", {"bundle": place, "variant": "int8", "row": row}),
        "assay int8, verify=False": ("assay", {"bundle": place, "variant": "int8", "row": row, "verify": False}),
        "assay fp32": ("assay", {"bundle": place, "variant": "fp32", "row": row}),
    }
    for precision, model in (("int8", str(quantised)), ("fp32", portable)):
        for cache in (None, str(work / f"{quantised.parent.name}-cache-{precision}")):
            name = f"OpenVINO {precision}{', with its model cache' if cache else ''}"
            contenders[name] = ("openvino", {"model": model, "tokenizer": tokenizer, "row": row, "cache": cache})
    contenders["transformers fp32"] = (
        "transformers",
        {"checkpoint": str(checkpoint), "tokenizer": place, "row": row},
    )
    return contenders


def run(name: str, kind: str, arguments: Mapping[str, Any], bytecode: Path) -> list[float]:
    """Run one process, and return the seconds of each step.

    All modules come from compiled bytecode in the folder `bytecode`, as after pip's installation. Those of a checkout
    would be compiled at every start where PYTHONDONTWRITEBYTECODE is set.

    Raises:
        BenchmarkError: It failed; with its last line.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
        "HF_HUB_OFFLINE": "1",
        "PYTHONPYCACHEPREFIX": str(bytecode.absolute()),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-m", "benchmarks.engines.first_answer", kind, json.dumps(arguments)]
    start = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise BenchmarkError(f"{name} gave no answer: {lines[-1][:300]}")
    times = [start, *json.loads(done.stdout.splitlines()[-1])]
    return [after - before for before, after in itertools.pairwise(times)]


def format_table(seconds: Mapping[str, Sequence[Sequence[float]]]) -> str:
    """Format a Markdown table in seconds: each step in the median, and the whole with its least and greatest."""
    lines = [f"| contender | {' | '.join(f'{step}, s' for step in STEPS)} | together, s |", "|---" * 6 + "|"]
    for name, runs in seconds.items():
        steps = [f"{statistics.median(values):.2f}" for values in zip(*runs, strict=True)]
        together = [sum(values) for values in runs]
        spread = f"{statistics.median(together):.2f} ({min(together):.2f}..{max(together):.2f})"
        lines.append(f"| {name} | {' | '.join(steps)} | {spread} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
