"""The cost model in the report: what a call, a token and a token squared cost each peer, fitted to its latencies."""

from benchmarks.cost import FEWEST_LENGTHS, Cost, fit_cost
from benchmarks.suite.report import statistics
from benchmarks.suite.report.analysis import Analysis
from benchmarks.suite.report.tables import format_table

__all__ = ["compose_cost", "fit_peers", "list_single_cells"]


def list_single_cells(analysis: Analysis) -> list[tuple[str, int]]:
    """List the latency cells of one row, with their tokens."""
    return [(cell, tokens) for cell, tokens in analysis.rows["lengths"].items() if " x " not in cell]


def fit_peers(analysis: Analysis) -> dict[str, Cost]:
    """Fit a cost to each peer that has times of enough lengths."""
    costs = {}
    for name, peer in analysis.peers.items():
        measured = peer.cells.get("latency", {})
        points = [
            (tokens, statistics.percentile(measured[cell], 50))
            for cell, tokens in list_single_cells(analysis)
            if cell in measured
        ]
        if len({tokens for tokens, _ in points}) >= FEWEST_LENGTHS:
            costs[name] = fit_cost(*zip(*points, strict=True))
    return costs


def compose_cost(analysis: Analysis) -> list[str]:
    """Compose the section, or nothing if there are too few lengths."""
    costs = fit_peers(analysis)
    if not costs:
        return []
    rows = [
        [
            name,
            f"{cost.fixed * 1e3:.2f}",
            f"{cost.per_token * 1e6:.1f}",
            f"{cost.per_square * 1e9:.1f}",
            f"{cost.worst:.0%}",
        ]
        for name, cost in sorted(costs.items(), key=lambda item: item[1].predict(64))
    ]
    head = ["peer", "a call, ms", "a token, us", "a token squared, ns", "largest error"]
    return [
        "## The cost of an answer",
        "Median latency as a sum of three costs, none negative, fitted by least squares of the relative errors:",
        format_table(head, rows),
    ]
