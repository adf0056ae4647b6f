"""`python -m benchmarks readme`: writes the README's tables and its picture from the checked-in results.

The tables replace what is between the two markers in README.md, and the picture is docs/benchmarks/latency.svg. Both
show docs/benchmarks/*/results.json.
"""

import argparse
from pathlib import Path

from benchmarks import ROOT
from benchmarks.errors import BenchmarkError
from benchmarks.suite.readme.picture import draw_picture
from benchmarks.suite.report import statistics
from benchmarks.suite.report.analysis import THROUGHPUT_CELL, Analysis, analyse
from benchmarks.suite.report.tables import format_table, replace_between
from benchmarks.suite.samples import RESULTS, read_json

__all__ = ["HELP", "add_arguments", "run"]

HELP = "write the README's tables and picture from docs/benchmarks"
FOLDER = ROOT / "docs" / "benchmarks"
BEGIN, END = "<!-- python -m benchmarks readme: begin -->", "<!-- python -m benchmarks readme: end -->"
LENGTHS = ("16", "64", "128", "512")
OMITTED = (
    "torch-bf16",
    "torch-compile",
    "torchao-int8",
    "sentence-transformers",
    "sentence-transformers-openvino-int8",
    "sentence-transformers-onnx-int8",
    "transformers-exporters-fp32",
    "optimum-fp32",
    "optimum-intel-bf16",
    "openvino-fp32",
    "openvino-bf16",
    "onnxruntime-openvino-fp32",
    "onnxruntime-ep-openvino-fp32",
)
"""Peers that only the reports have, so that the README stays short. Others of the same library, faster or more often
used, stand for them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the tables differ")


def run(options: argparse.Namespace) -> int:
    """Write the tables and the picture, or compare the tables.

    Raises:
        BenchmarkError: There are no results, the README lacks a marker, or with --check the tables differ.
    """
    readme = ROOT / "README.md"
    before = readme.read_text(encoding="utf-8")
    after = replace_between(before, BEGIN, END, compose_tables(FOLDER), readme.name)
    if options.check and before != after:
        raise BenchmarkError(f"{readme} differs from docs/benchmarks: run python -m benchmarks readme")
    if not options.check:
        readme.write_text(after, encoding="utf-8")
        draw_picture(FOLDER)
    return 0


def compose_tables(folder: Path) -> str:
    """Compose one table per run in `folder`.

    Raises:
        BenchmarkError: There are no runs.
    """
    found = sorted(folder.glob(f"*/{RESULTS}"))
    if not found:
        raise BenchmarkError(f"{folder} has no {RESULTS}: run python -m benchmarks run, with --out below it")
    return "\n\n".join(_compose_table(analyse(read_json(path)), path) for path in found)


def _compose_table(analysis: Analysis, path: Path) -> str:
    link = f"[{analysis.plan['model']}](docs/benchmarks/{path.parent.name}/report.md)"
    threads = analysis.plan["threads"]
    cells = [cell for cell in LENGTHS if cell in analysis.rows["lengths"]]
    ranks = analysis.rank("latency")
    rows = []
    for name in sorted(ranks, key=lambda name: ranks[name]):
        if name in OMITTED:
            continue
        peer = analysis.peers[name]
        times = [
            f"{statistics.percentile(rounds, 50) * 1e3:.0f}" if (rounds := peer.cells["latency"].get(cell)) else "-"
            for cell in cells
        ]
        many = peer.cells.get("throughput", {}).get(THROUGHPUT_CELL)
        rate = f"{len(analysis.rows['throughput_tokens']) / statistics.percentile(many, 50):.1f}" if many else "-"
        resident = f"{peer.resident_bytes / 1e6:,.0f}" if peer.resident_bytes else "-"
        start = f"{statistics.median(peer.starts):.1f}"
        rows.append([name, str(ranks[name]), *times, rate, start, resident])
    head = [
        f"{link}, {threads} threads",
        "rank",
        *(f"{cell} tokens, ms" for cell in cells),
        "texts/s",
        "start, s",
        "MB",
    ]
    return format_table(head, rows)
