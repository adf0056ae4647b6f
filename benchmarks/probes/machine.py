"""Measures what this machine allows: instruction peaks, memory bandwidth, shared cores and steal time.

    python -m benchmarks.probes.machine [--bundle BUNDLE] [--lengths 16,64,...] [--json FILE]

One run measures int8, bf16 and fp32 multiply-adds from registers and the bandwidth of reading memory
(`benchmarks.machine.peaks`), on one thread and on all usable cores. If all cores together are hardly faster than one,
they share one physical core, or somebody else is using them. Steal time is what the hypervisor took.

With a bundle, the probe also prints the floor of its model: for each length the longer of the linear layers' operations
at the int8 peak, and their int8 weights at the read bandwidth.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay.bundle import manifest
from benchmarks import machine
from benchmarks.command_line import add_json, make_parser, parse_counts, run_measurement
from benchmarks.engines.products import Layer, compute_floor, read_layers
from benchmarks.machine import peaks
from benchmarks.machine.noise import compute_steal, is_shared_gain, read_stat
from benchmarks.machine.peaks import BANDWIDTH

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0, or 1 with one line on standard error.
    """
    parser = make_parser("machine", __doc__)
    parser.add_argument("--bundle", type=Path, metavar="BUNDLE", help="bundle of the model to print the floor of")
    parser.add_argument(
        "--lengths", type=parse_counts, default="16,32,64,128,256,512", metavar="N,N", help="tokens of the floor"
    )
    add_json(parser, "all results")
    return run_measurement(measure, parser.parse_args(arguments))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the machine, compute the floor of a bundle's model, and print both.

    Returns:
        What --json writes. Rates are in operations or bytes per second, floors in seconds.

    Raises:
        AssayError: There is no C++ compiler, or the bundle cannot be read.
    """
    layers = [] if options.bundle is None else _read_bundle(options.bundle)
    cores = machine.usable_cores()
    before = read_stat()
    measured = peaks.measure()
    one, every = measured.one, measured.every
    result: dict[str, Any] = {
        "machine": machine.describe(),
        "load_average": machine.load_average(),
        "one_thread": one,
        "all_cores": {"threads": cores, **every},
        "all_over_one": {name: every[name] / one[name] for name in one},
        "shared_core": is_shared(one, every, cores),
        "steal": compute_steal(before, read_stat()),
    }
    if layers:
        result["floor"] = {
            str(tokens): compute_floor(layers, tokens, measured.int8, measured.bytes_per_second)
            for tokens in options.lengths
        }
    print(format_result(result))
    return result


def _read_bundle(bundle: Path) -> list[Layer]:
    described = manifest.read(bundle / manifest.MANIFEST_NAME)
    return read_layers(bundle / described.variants["fp32"]["portable"].file)


def is_shared(one: Mapping[str, float], every: Mapping[str, float], cores: int) -> bool | None:
    """Return whether the cores share physical ones, or None with one core or without any instruction.

    The instruction that gains most decides, because other work on the machine can only hide a gain.
    """
    gains = [every[name] / one[name] for name in one if name != BANDWIDTH]
    return is_shared_gain(max(gains), cores) if gains and cores > 1 else None


def format_result(result: Mapping[str, Any]) -> str:
    """Format the results as Markdown."""
    described, every = result["machine"], result["all_cores"]
    lines = [
        f"{described['processor']}, {described['usable_cores']} usable cores, {described['system']}; load average "
        f"{result['load_average']}",
        "",
        f"| | one thread | {every['threads']} threads | ratio |",
        "| --- | --- | --- | --- |",
    ]
    for name, rate in result["one_thread"].items():
        label, factor = ("memory read, GB/s", 1e9) if name == BANDWIDTH else (f"{name}, Top/s", 1e12)
        gain = result["all_over_one"][name]
        lines.append(f"| {label} | {rate / factor:.3g} | {every[name] / factor:.3g} | {gain:.2f} |")
    lines.append("")
    if result["shared_core"] is not None:
        answer = "share physical cores, or other work kept them busy" if result["shared_core"] else "are separate cores"
        lines.append(f"The {every['threads']} cores {answer}.")
    if result["steal"] is not None:
        lines.append(f"Steal time during the run: {result['steal']:.1%}.")
    if "floor" in result:
        lines += ["", "| tokens | floor of the linear layers, ms |", "| --- | --- |"]
        lines += [f"| {tokens} | {seconds * 1e3:.2f} |" for tokens, seconds in result["floor"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
