"""Draws the plots of a report as PNG: the fitted cost, time by length, texts per second, share of the limit."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.suite.report import statistics
from benchmarks.suite.report.analysis import THROUGHPUT_CELL, Analysis
from benchmarks.suite.report.cost import fit_peers, list_single_cells
from benchmarks.suite.setup import Mode

__all__ = ["COST", "draw"]

COST = "cost.png"
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
    drawn = [_draw_cost(analysis, folder / COST), _draw_latency(analysis, folder / "latency.png")]
    drawn += [_draw_throughput(analysis, folder / "throughput.png"), _draw_limit(analysis, folder / "limit.png")]
    return [path for path in drawn if path is not None]


def _draw_cost(analysis: Analysis, path: Path) -> Path | None:
    """Draw what was measured as points, and the fitted cost through them."""
    costs = fit_peers(analysis)
    if not costs:
        return None
    figure, axes = plt.subplots(figsize=(9, 6.5))
    for name, cost in costs.items():
        peer = analysis.peers[name]
        cells = [(cell, tokens) for cell, tokens in list_single_cells(analysis) if cell in peer.cells["latency"]]
        medians = [statistics.percentile(peer.cells["latency"][cell], 50) * 1e3 for cell, _ in cells]
        lengths = np.geomspace(cells[0][1], cells[-1][1], 100)
        colour = COLOURS.get(name.split("-")[0], "tab:gray")
        axes.plot([tokens for _, tokens in cells], medians, color=colour, marker=MARKERS[peer.precision], linestyle="")
        axes.plot(
            lengths,
            [cost.predict(length) * 1e3 for length in lengths],
            color=colour,
            linewidth=1,
            label=f"{name}: {cost}",
        )
    _finish_axes(axes, analysis, "ms per request: medians, and the fitted cost of n tokens")
    axes.legend(fontsize=8, ncol=2, loc="upper center", bbox_to_anchor=(0.5, -0.1))  # too wide to be inside
    _save(figure, path)
    plt.close(figure)
    return path


def _finish_axes(axes: Any, analysis: Analysis, ylabel: str) -> None:
    axes.set(xscale="log", yscale="log", xlabel="tokens", ylabel=ylabel)
    tokens = [tokens for _, tokens in list_single_cells(analysis)]
    axes.set_xticks(tokens, [str(value) for value in tokens])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, ncol=2)


def _draw_lines(
    analysis: Analysis, value: Any, ylabel: str, path: Path, products: Sequence[tuple[int, float]] = ()
) -> Path | None:
    figure, axes = plt.subplots(figsize=(9, 5.5))
    drawn = False
    for name, peer in analysis.peers.items():
        points = [(tokens, value(name, cell)) for cell, tokens in list_single_cells(analysis)]
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
        if products:
            axes.plot(*zip(*products, strict=True), color="black", linestyle="-.", label="ONNX Runtime's int8 products")
        _finish_axes(axes, analysis, ylabel)
        _save(figure, path)
    plt.close(figure)
    return path if drawn else None


def _draw_latency(analysis: Analysis, path: Path) -> Path | None:
    def height(name: str, cell: str) -> float | None:
        rounds = analysis.peers[name].cells.get("latency", {}).get(cell)
        return statistics.percentile(rounds, 50) * 1e3 if rounds else None

    return _draw_lines(analysis, height, "ms per request, median", path)


def _draw_limit(analysis: Analysis, path: Path) -> Path | None:
    """Draw the share of what instructions and memory allow; of matrix products for results that lack the former."""
    is_known = analysis.instructions is not None and analysis.weights is not None

    def height(name: str, cell: str) -> float | None:
        compute = analysis.compute_allowed if is_known else analysis.compute_share
        share = compute(name, "latency", cell)
        return share * 100 if share else None

    products = [(tokens, analysis.compute_products_share(cell)) for cell, tokens in list_single_cells(analysis)]
    line = [(tokens, share * 100) for tokens, share in products if share]
    what = "what the machine allows" if is_known else "the machine's measured peak"
    return _draw_lines(analysis, height, f"% of {what} at the peer's precision", path, line)


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
