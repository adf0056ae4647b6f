"""Draws the README's picture: latency by length of a few peers, from the checked-in results.

The colours read on white and on dark pages, the background is transparent, and text stays text, so the file is small
and the same results make the same bytes.
"""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.errors import BenchmarkError
from benchmarks.suite.report import statistics
from benchmarks.suite.report.analysis import Analysis, analyse
from benchmarks.suite.samples import RESULTS, read_json

__all__ = ["PICTURE", "draw_picture"]

PICTURE = "latency.svg"
MODELS = {"osmosis": "osmosis: DeBERTa-v3-base, pairs", "maxwell": "maxwell: ModernBERT-large, texts"}
PEERS = {
    "torch-fp32": ("PyTorch fp32", "#c05a48"),
    "optimum-int8": ("optimum int8", "#b8862b"),
    "openvino-int8": ("OpenVINO int8", "#4a86c8"),
    "assay-fp32": ("assay fp32", "#7fa37a"),
    "assay-int8": ("assay int8", "#2f9e57"),
}
GRAY = "#808890"  # of text and axes: a contrast of 3.5 or more on white and on GitHub's dark background
LABEL_GAP = 0.062  # between two labels, as a share of the height of a panel
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "assay",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans"],
    "font.size": 11,
    "text.color": GRAY,
    "axes.edgecolor": GRAY,
    "axes.labelcolor": GRAY,
    "xtick.color": GRAY,
    "ytick.color": GRAY,
}


def draw_picture(folder: Path) -> Path:
    """Draw the picture of the runs in `folder` into it.

    Raises:
        BenchmarkError: A run is missing.
    """
    paths = {name: folder / name / RESULTS for name in MODELS}
    if missing := [str(path) for path in paths.values() if not path.is_file()]:
        raise BenchmarkError(f"{missing[0]} is missing: run python -m benchmarks run, with --out {folder}/NAME")
    analyses = {name: analyse(read_json(path)) for name, path in paths.items()}
    target = folder / PICTURE
    with plt.rc_context(STYLE):
        figure, panels = plt.subplots(1, len(analyses), figsize=(10.5, 4.4))
        for axes, (name, analysis) in zip(panels, analyses.items(), strict=True):
            _draw_panel(axes, analysis, MODELS[name])
        panels[0].set_ylabel("ms per request, median")
        figure.text(0.01, 0.01, _describe(list(analyses.values())), fontsize=9, color=GRAY)
        figure.subplots_adjust(left=0.075, right=0.865, top=0.91, bottom=0.215, wspace=0.55)
        figure.savefig(target, transparent=True, metadata={"Date": None, "Creator": None})
        plt.close(figure)
    return target


def _draw_panel(axes: Any, analysis: Analysis, title: str) -> None:
    """Draw one line per peer, with its name at the end of the line."""
    cells = [(cell, tokens) for cell, tokens in analysis.rows["lengths"].items() if " x " not in cell]
    ends = []
    for name, (label, colour) in PEERS.items():
        times = analysis.peers[name].cells.get("latency", {}) if name in analysis.peers else {}
        points = [(int(cell), statistics.percentile(times[cell], 50) * 1e3) for cell, _ in cells if cell in times]
        if not points:
            continue
        wrong = analysis.peers[name].verdict == "failed"
        axes.plot(
            *zip(*points, strict=True),
            color=colour,
            linewidth=3 if name == "assay-int8" else 1.8,
            linestyle=":" if wrong else "-",
            marker="o",
            markersize=5 if name == "assay-int8" else 3.5,
        )
        ends.append((points[-1][1], f"{label} *" if wrong else label, colour, name == "assay-int8"))
    axes.set(xscale="log", yscale="log", title=title, xlabel="tokens")
    ticks = [int(cell) for cell, _ in cells]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.yaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axes.minorticks_off()
    axes.grid(color=GRAY, alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    low, high = (math.log(limit) for limit in axes.get_ylim())
    heights = _spread([(math.log(value) - low) / (high - low) for value, *_ in ends])
    for height, (_, label, colour, is_bold) in zip(heights, ends, strict=True):
        axes.text(
            1.02,
            height,
            label,
            color=colour,
            transform=axes.transAxes,
            verticalalignment="center",
            fontweight="bold" if is_bold else "normal",
        )


def _spread(heights: Sequence[float]) -> list[float]:
    """Move labels apart that would overlap, keeping their order."""
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    moved = list(heights)
    for _ in range(100):
        for lower, upper in itertools.pairwise(order):
            overlap = LABEL_GAP - (moved[upper] - moved[lower])
            if overlap > 1e-6:
                moved[lower] -= overlap / 2
                moved[upper] += overlap / 2
    return moved


def _describe(analyses: Sequence[Analysis]) -> str:
    plan = analyses[0].plan
    lines = [
        f"Full-size stand-ins with random weights, one request at a time, {plan['threads']} threads; "
        f"{plan['machine']['processor']}. Both axes are logarithmic.",
        "assay int8 is the graph of a model that passes its gate with every layer in int8.",
    ]
    if any(peer.verdict == "failed" for analysis in analyses for peer in analysis.peers.values()):
        lines[-1] += " Dotted, with *: the answers differ from PyTorch's."
    return "\n".join(lines)
