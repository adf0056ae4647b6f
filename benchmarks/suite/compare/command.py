"""`python -m benchmarks compare A B`: what became faster or slower from one run to another.

The exit code is 0 if nothing became worse, 1 if something did, and 2 if the folders cannot be compared.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.suite.compare.comparison import Change, compare_runs
from benchmarks.suite.report.analysis import Analysis, read_analysis
from benchmarks.suite.report.tables import format_table

__all__ = ["HELP", "add_arguments", "run"]

HELP = "what became faster or slower from one run to another; exit code 1 if something became worse"
WORSE, UNUSABLE = 1, 2
THRESHOLD = 5.0  # %
UNITS = {"latency": 1e3, "throughput": 1.0}
SIGNS = {"slower": "**slower**", "failed": "**failed**", "wrong": "**wrong answers**"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("before", type=Path, metavar="A", help="folder of a run, or its results.json")
    parser.add_argument("after", type=Path, metavar="B", help="the run to compare with it")
    parser.add_argument(
        "--threshold",
        type=float,
        default=THRESHOLD,
        metavar="PERCENT",
        help=f"least change that counts, if it is also beyond the spread of both runs; default: {THRESHOLD:g}",
    )
    parser.add_argument(
        "--relative-to",
        metavar="PEER",
        help="compare times over this peer's in the same round: cancels a machine that is slower as a whole",
    )
    parser.add_argument("--across-machines", action="store_true", help="accept another machine and other threads")
    parser.add_argument("--changes", action="store_true", help="list only what changed")


def run(options: argparse.Namespace) -> int:
    """Print the table.

    Returns:
        The exit code: 0, 1 if something became worse, 2 if the runs cannot be compared.
    """
    try:
        if not options.threshold >= 0:
            raise BenchmarkError(f"--threshold is {options.threshold:g}, expected 0 or more")
        before, after = read_analysis(options.before), read_analysis(options.after)
        share = options.threshold / 100
        changes = compare_runs(before, after, share, options.relative_to, options.across_machines)
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return UNUSABLE
    print(compose(before, after, changes, options))
    return WORSE if any(change.is_regression for change in changes) else 0


def compose(before: Analysis, after: Analysis, changes: list[Change], options: argparse.Namespace) -> str:
    """Compose the comparison as Markdown."""
    listed = [change for change in changes if not options.changes or change.outcome != "same"]
    unit = f"time / {options.relative_to}" if options.relative_to else "ms, or s for texts"
    head = ["peer", "setting", "tokens", f"A, {unit}", f"B, {unit}", "B / A", ""]
    counts = {outcome: sum(change.outcome == outcome for change in changes) for outcome in ("slower", "faster", "same")}
    rest = [change for change in changes if change.outcome not in counts]
    parts = [
        f"# {before.plan['model']} on {before.plan['device']}: B ({options.after}) against A ({options.before})",
        "\n".join(f"- {line}" for line in _describe_differences(before, after)),
        f"B / A is the ratio of the medians of the rounds; in brackets, the least and the greatest ratio that the 10th "
        f"and 90th percentiles of both runs allow. A change counts if 1 is outside them and it is more than "
        f"{options.threshold:g} %.",
        format_table(head, [_format(change, bool(options.relative_to)) for change in listed if change.ratio]),
        "\n".join(f"- {_explain(change)}" for change in listed if not change.ratio),
        ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
        + "".join(f", {sum(c.outcome == name for c in rest)} {name}" for name in dict.fromkeys(c.outcome for c in rest))
        + ".",
    ]
    return "\n\n".join(part for part in parts if part)


def _describe_differences(before: Analysis, after: Analysis) -> list[str]:
    """What else differs between the runs: versions, the machine, and how fast it was."""
    lines = []
    for label, analysis in (("A", before), ("B", after)):
        machine = analysis.plan["machine"]
        loads = [load for load in analysis.load_averages if load is not None]
        load = f", load average {min(loads):.1f} to {max(loads):.1f}" if loads else ""
        rounds = ", ".join(f"{analysis.count_rounds(mode)} rounds of {mode}" for mode in analysis.plan["modes"])
        noisy = f"; {len(analysis.noise)} noisy rounds, {len(analysis.left_out)} of them left out"
        lines.append(
            f"{label}: {machine['processor']}, {machine['usable_cores']} cores, {analysis.plan['threads']} threads"
            f"{load}; {rounds}{noisy if analysis.noise else ''}"
        )
    shared = [name for name in before.peaks if name in after.peaks]
    if shared:
        ratios = ", ".join(f"{name} {after.peaks[name] / before.peaks[name]:.2f}" for name in sorted(shared))
        lines.append(f"Peaks of matrix products, B / A: {ratios}")
    old, new = (
        {name: version for found in analysis.plan["versions"].values() for name, version in found.items()}
        for analysis in (before, after)
    )
    differing = [f"{name} {old[name]} to {new[name]}" for name in sorted(old) if new.get(name, old[name]) != old[name]]
    if differing:
        lines.append(f"Versions that differ: {', '.join(differing)}")
    return lines


def _format(change: Change, is_relative: bool) -> list[str]:
    factor = 1.0 if is_relative else UNITS[change.mode]
    values = ["-" if value is None else _shorten(value * factor) for value in (change.before, change.after)]
    mode = "" if change.mode == change.cell else change.mode
    return [change.peer, mode, change.cell, *values, str(change.ratio), SIGNS.get(change.outcome, change.outcome)]


def _shorten(value: float) -> str:
    """Three significant digits, or more before the point."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _explain(change: Change) -> str:
    where = ", ".join(part for part in (change.peer, change.mode, change.cell) if part)
    return f"{where}: {SIGNS.get(change.outcome, change.outcome)}, {change.reason}"
