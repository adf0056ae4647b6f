"""Reads results.json for the report: each peer's times by cell, its parity, rank and share of the limit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks import limits
from benchmarks.suite import peers
from benchmarks.suite.report import statistics
from benchmarks.suite.report.parity import Verdict, compare, judge
from benchmarks.suite.setup import Mode
from benchmarks.timing import Ratio

__all__ = ["THROUGHPUT_CELL", "Analysis", "PeerResult", "analyse"]

THROUGHPUT_CELL = "texts"


@dataclass
class PeerResult:
    """Everything about one peer."""

    name: str
    precision: str
    failures: dict[str, str] = field(default_factory=dict)  # by mode, or "preparation"
    # Seconds by mode, cell and round.
    cells: dict[str, dict[str, dict[int, list[float]]]] = field(default_factory=dict)
    starts: list[float] = field(default_factory=list)
    resident_bytes: int | None = None
    files_bytes: int | None = None
    environment_bytes: int | None = None
    parity: dict[str, Any] | None = None
    verdict: Verdict | None = None

    def is_ranked(self, mode: Mode) -> bool:
        """Return whether its times count: its answers are correct and it did not fail."""
        return bool(self.cells.get(mode)) and self.verdict in ("passed", "not judged") and mode not in self.failures


@dataclass
class Analysis:
    """A run."""

    plan: Mapping[str, Any]
    rows: Mapping[str, Any]
    operations: Mapping[str, float]
    peers: dict[str, PeerResult]
    absent: Mapping[str, str]
    peaks: dict[str, float]  # by precision, the most operations per second that were measured
    load_averages: list[float]

    def count_rounds(self, mode: Mode) -> int:
        """Count the rounds that some peer took part in."""
        numbers = {n for peer in self.peers.values() for cell in peer.cells.get(mode, {}).values() for n in cell}
        return len(numbers)

    def rank(self, mode: Mode) -> dict[str, int]:
        """Return the ranks by peer, of those that have one."""
        return statistics.rank({name: peer.cells[mode] for name, peer in self.peers.items() if peer.is_ranked(mode)})

    def compare(self, name: str, mode: Mode, cell: str) -> Ratio | None:
        """Return the peer's time over the baseline's, or None if one of them has no times there."""
        base = self.peers.get(self.plan["baseline"])
        ours = self.peers[name].cells.get(mode, {}).get(cell)
        theirs = base.cells.get(mode, {}).get(cell) if base else None
        return statistics.compare_rounds(ours, theirs) if ours and theirs else None

    def count_operations(self, mode: Mode, cell: str) -> float:
        """Count the operations of one call."""
        if mode == "throughput":
            return sum(limits.count_operations(self.operations, tokens) for tokens in self.rows["throughput_tokens"])
        batch = int(cell.partition(" x ")[2] or 1)
        return batch * limits.count_operations(self.operations, self.rows["lengths"][cell])

    def compute_share(self, name: str, mode: Mode, cell: str) -> float | None:
        """Return the share of the limit at the peer's precision that its median call reaches."""
        peer = self.peers[name]
        rounds = peer.cells.get(mode, {}).get(cell)
        peak = self.peaks.get(peer.precision)
        if not rounds or not peak:
            return None
        seconds = statistics.percentile(rounds, 50)
        return limits.share_of_limit(self.count_operations(mode, cell), seconds, peak)


def analyse(results: Mapping[str, Any]) -> Analysis:
    """Analyse the contents of results.json."""
    plan, reference = results["plan"], results["reference"]
    expected = np.array(reference["logits"], np.float32)
    found = {name: PeerResult(name, peers.find_peer(name).precision) for name in plan["peers"]}
    peaks: dict[str, float] = {}
    load_averages = []
    for record in results["samples"]:
        kind = record["kind"]
        if kind == "peaks":
            for precision in record.keys() - {"kind", "load_average"}:
                peaks[precision] = max(peaks.get(precision, 0.0), record[precision])
            load_averages.append(record["load_average"])
            continue
        peer = found[record["peer"]]
        if kind == "failure":
            peer.failures[record["mode"]] = record["reason"]
        elif kind == "start":
            peer.starts.append(record["seconds"])
            if peer.resident_bytes is None:
                peer.resident_bytes = record["resident_bytes"]
        elif kind == "size":
            peer.files_bytes, peer.environment_bytes = record["files_bytes"], record["environment_bytes"]
        elif kind == "logits":
            logits = np.array(record["logits"], np.float32)
            peer.parity = compare(logits, expected, plan["activation"])
            peer.verdict = judge(peer.parity, peer.precision, plan["random_weights"])
        elif kind == "turn":
            cell = peer.cells.setdefault(record["mode"], {}).setdefault(record["cell"], {})
            cell.setdefault(record["round"], []).extend(record["seconds"])
    return Analysis(plan, results["rows"], reference["operations"], found, plan["absent"], peaks, load_averages)
