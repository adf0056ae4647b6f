"""Draws the plots of a report as PNG: time by length, texts per second, share of the limit."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.suite.report import statistics
from benchmarks.suite.report.analysis import THROUGHPUT_CELL, Analysis
from benchmarks.suite.setup import Mode

__all__ = ["draw"]

# Readers look for a family or for a precision: one has a colour, the other a marker.
COLOURS = {
    "torch": "tab:red",
    "sentence": "tab:pink",
    "optimum": "tab:orange",
    "openvino": "tab:blue",
    "assay": "tab:green",
}
MARKERS = {"fp32": "o", "bf16": "s", "fp16": "D", "int8": "^"}


def draw(analysis: Analysis, folder: Path) -> list[Path]:
    """Draw what the run has data for, and return the files in the report's order."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [_draw_latency(analysis, folder / "latency.png"), _draw_throughput(analysis, folder / "throughput.png")]
    drawn.append(_draw_limit(analysis, folder / "limit.png"))
    return [path for path in drawn if path is not None]


def _list_cells(analysis: Analysis) -> list[tuple[str, int]]:
    """The latency cells of one row, with their tokens."""
    return [(cell, tokens) for cell, tokens in analysis.rows["lengths"].items() if " x " not in cell]


def _draw_lines(analysis: Analysis, value: Any, ylabel: str, path: Path) -> Path | None:
    figure, axes = plt.subplots(figsize=(9, 5.5))
    drawn = False
    for name, peer in analysis.peers.items():
        points = [(tokens, value(name, cell)) for cell, tokens in _list_cells(analysis)]
        points = [(tokens, height) for tokens, height in points if height is not None]
        if not points:
            continue
        drawn = True
        failed = peer.verdict == "failed"
        axes.plot(
            *zip(*points, strict=True),
            color=COLOURS.get(name.split("-")[0], "tab:gray"),
            marker=MARKERS[peer.precision],
            linestyle=":" if failed else "--" if name == "torch-compile" else "-",
            label=f"{name} (parity failed)" if failed else name,
        )
    if drawn:
        axes.set(xscale="log", yscale="log", xlabel="tokens", ylabel=ylabel)
        tokens = [tokens for _, tokens in _list_cells(analysis)]
        axes.set_xticks(tokens, [str(value) for value in tokens])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, ncol=2)
        _save(figure, path)
    plt.close(figure)
    return path if drawn else None


def _draw_latency(analysis: Analysis, path: Path) -> Path | None:
    def height(name: str, cell: str) -> float | None:
        rounds = analysis.peers[name].cells.get("latency", {}).get(cell)
        return statistics.percentile(rounds, 50) * 1e3 if rounds else None

    return _draw_lines(analysis, height, "ms per request, median", path)


def _draw_limit(analysis: Analysis, path: Path) -> Path | None:
    def height(name: str, cell: str) -> float | None:
        share = analysis.compute_share(name, "latency", cell)
        return share * 100 if share else None

    return _draw_lines(analysis, height, "% of the machine's measured peak at the peer's precision", path)


def _draw_throughput(analysis: Analysis, path: Path) -> Path | None:
    mode: Mode = "throughput"
    count = len(analysis.rows["throughput_tokens"])
    bars = {}
    for name, peer in analysis.peers.items():
        if rounds := peer.cells.get(mode, {}).get(THROUGHPUT_CELL):
            bars[name] = [count / seconds for seconds in statistics.round_times(rounds).values()]
    if not bars:
        return None
    figure, axes = plt.subplots(figsize=(9, 0.6 + 0.4 * len(bars)))
    for position, (name, rates) in enumerate(sorted(bars.items(), key=lambda item: statistics.median(item[1]))):
        middle = statistics.median(rates)
        axes.barh(
            position,
            middle,
            xerr=[[middle - min(rates)], [max(rates) - middle]],
            color=COLOURS.get(name.split("-")[0], "tab:gray"),
            alpha=0.35 if analysis.peers[name].verdict == "failed" else 1,
            tick_label=None,
        )
    names = sorted(bars, key=lambda name: statistics.median(bars[name]))
    labels = [f"{name} (parity failed)" if analysis.peers[name].verdict == "failed" else name for name in names]
    axes.set_yticks(range(len(names)), labels)
    axes.set(xlabel="texts per second: median, least and greatest of the rounds")
    axes.grid(alpha=0.3, axis="x")
    _save(figure, path)
    plt.close(figure)
    return path


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    # Without date and version, the same results make the same bytes.
    figure.savefig(path, dpi=110, metadata={"Software": None})
