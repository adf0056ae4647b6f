"""`python -m benchmarks quality-page`: writes the tables of docs/measurements/quality.md and the README.

The results are docs/benchmarks/quality/*.json, which `python -m benchmarks quality --json` wrote.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import ROOT
from benchmarks.errors import BenchmarkError
from benchmarks.suite.report.tables import format_table, replace_between
from benchmarks.suite.samples import read_json

__all__ = ["HELP", "add_arguments", "compose_summary", "compose_tables", "run"]

HELP = "write the tables of docs/measurements/quality.md and README.md from docs/benchmarks/quality"
FOLDER = ROOT / "docs" / "benchmarks" / "quality"
PAGE, README = ROOT / "docs" / "measurements" / "quality.md", ROOT / "README.md"
BEGIN, END = "<!-- python -m benchmarks quality-page: begin -->", "<!-- python -m benchmarks quality-page: end -->"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the tables differ")


def run(options: argparse.Namespace) -> int:
    """Write the tables, or compare them.

    Raises:
        BenchmarkError: There are no results, the page lacks a marker, or with --check the tables differ.
    """
    for page, compose in ((PAGE, compose_tables), (README, compose_summary)):
        before = page.read_text(encoding="utf-8")
        after = replace_between(before, BEGIN, END, compose(FOLDER), page.name)
        if options.check and before != after:
            raise BenchmarkError(f"{page} differs from {FOLDER}: run python -m benchmarks quality-page")
        if not options.check:
            page.write_text(after, encoding="utf-8")
    return 0


def compose_tables(folder: Path) -> str:
    """Compose one table per file of results in `folder`, of classifiers.

    Raises:
        BenchmarkError: There are none, or one of them is not what `quality` writes for a classifier.
    """
    return "\n\n".join(_compose_table(results) for results in _read(folder))


def compose_summary(folder: Path) -> str:
    """Compose one table of all files of results: how many labels each int8 changes. Raises as `compose_tables`."""
    found = list(_read(folder))
    names = list(dict.fromkeys(name for results in found for name in results["results"] if "int8" in name))
    rows = [
        [f"{Path(results['checkpoint']).name}, {results['rows']['good']:,} rows", *(_count(results, n) for n in names)]
        for results in found
    ]
    return format_table(["labels that differ from PyTorch's in float32", *names], rows)


def _count(results: dict[str, Any], name: str) -> str:
    delta = results["results"].get(name, {}).get("against_baseline")
    return str(delta["labels_changed"]) if delta else "-"


def _read(folder: Path) -> Iterator[dict[str, Any]]:
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise BenchmarkError(f"{folder} has no results: run python -m benchmarks quality with --json below it")
    for path in paths:
        results = read_json(path)
        try:
            _compose_table(results)
        except (KeyError, TypeError) as error:
            raise BenchmarkError(
                f"{path}: is not what python -m benchmarks quality writes for a classifier "
                f"({type(error).__name__}: {error}); measure again"
            ) from error
        yield results


def _compose_table(results: dict[str, Any]) -> str:
    baseline = results["baseline"]
    rows = []
    for name, found in results["results"].items():
        if "failure" in found:
            rows.append([name, *["-"] * 5])
            continue
        measures, delta = found["metrics"], found.get("against_baseline")
        cells = ["-"] * 3
        if delta:
            changes = (delta["mean_delta_probability"], delta["max_delta_probability"])
            cells = [str(delta["labels_changed"]), *(f"{change:.1e}" for change in changes)]
        rows.append([name, f"{measures['accuracy']:.1%}", f"{measures['macro_f1']:.1%}", *cells])
    head = [
        f"{results['checkpoint']}, {results['rows']['good']:,} rows",
        "accuracy",
        "macro F1",
        f"labels other than {baseline}'s",
        "mean abs(delta probability)",
        "max",
    ]
    failures = [f"{name}: {found['failure']}" for name, found in results["results"].items() if "failure" in found]
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    return "\n\n".join([format_table(head, rows), *failures, f"Versions: {versions}."])
