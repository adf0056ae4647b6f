"""Reads results.json for the report: each peer's times by cell, its parity, rank and share of the limit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.errors import BenchmarkError
from benchmarks.machine import limits
from benchmarks.machine.noise import find_noise
from benchmarks.machine.peaks import Peaks, choose_rate
from benchmarks.suite import peers
from benchmarks.suite.report import statistics
from benchmarks.suite.report.parity import Verdict, compare, judge
from benchmarks.suite.samples import RESULTS, read_json
from benchmarks.suite.setup import Mode
from benchmarks.timing import Ratio

__all__ = ["THROUGHPUT_CELL", "Analysis", "PeerResult", "analyse", "read_analysis"]

THROUGHPUT_CELL = "texts"
SCHEMA_VERSION = 1
FEWEST_QUIET = 3  # rounds that must remain if noisy ones are left out


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
    peak_bytes: int | None = None  # after all turns
    joules: dict[str, dict[str, dict[int, float]]] = field(default_factory=dict)  # of a call; as `cells`
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
    # What runs measure since version 0.2; empty or None in older results.
    noise: Mapping[tuple[str, int], list[str]] = field(default_factory=dict)  # by mode and round, if it was noisy
    left_out: frozenset[tuple[str, int]] = frozenset()  # noisy rounds that no figure includes
    blocks: list[Mapping[str, Any]] = field(default_factory=list)
    instructions: Peaks | None = None
    products: Mapping[int, float] = field(default_factory=dict)  # seconds of ONNX Runtime's int8 products by tokens
    weights: Mapping[str, int] | None = None
    local_attention: Mapping[str, int] | None = None

    def count_rounds(self, mode: Mode) -> int:
        """Count the rounds that some peer took part in and that the figures include."""
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

    def list_tokens(self, mode: Mode, cell: str) -> list[int]:
        """List the tokens of each row of a call."""
        if mode == "throughput":
            return list(self.rows["throughput_tokens"])
        return [self.rows["lengths"][cell]] * int(cell.partition(" x ")[2] or 1)

    def count_operations(self, mode: Mode, cell: str) -> float:
        """Count the operations of one call."""
        return sum(
            limits.count_operations(self.operations, tokens) - limits.count_skipped(self.local_attention, tokens)
            for tokens in self.list_tokens(mode, cell)
        )

    def compute_share(self, name: str, mode: Mode, cell: str) -> float | None:
        """Return the share of the peak of matrix products at the peer's precision that its median call reaches."""
        peer = self.peers[name]
        rounds = peer.cells.get(mode, {}).get(cell)
        peak = self.peaks.get(peer.precision)
        if not rounds or not peak:
            return None
        seconds = statistics.percentile(rounds, 50)
        return limits.share_of_limit(self.count_operations(mode, cell), seconds, peak)

    def compute_floor(self, precision: str, mode: Mode, cell: str) -> tuple[float, float] | None:
        """Return the least seconds of a call's arithmetic and of reading its weights, by what was measured.

        A precision that the processor has no products in counts as float32, in which its numbers are then multiplied.
        """
        if self.instructions is None or self.weights is None:
            return None
        every = self.instructions.every
        peak = choose_rate(every, precision) or choose_rate(every, "fp32")
        if peak is None:
            return None
        tokens = sum(self.list_tokens(mode, cell))
        read = limits.count_bytes(self.weights, tokens, precision)
        return self.count_operations(mode, cell) / peak, read / self.instructions.bytes_per_second

    def compute_allowed(self, name: str, mode: Mode, cell: str) -> float | None:
        """Return the share of what the machine allows that the peer's median call reaches."""
        rounds = self.peers[name].cells.get(mode, {}).get(cell)
        floor = self.compute_floor(self.peers[name].precision, mode, cell)
        return max(floor) / statistics.percentile(rounds, 50) if rounds and floor else None

    def compute_products_share(self, cell: str) -> float | None:
        """Return the share of what the machine allows that ONNX Runtime's bare int8 products reach, one row a call."""
        seconds = self.products.get(self.rows["lengths"][cell])
        floor = self.compute_floor("int8", "latency", cell)
        return max(floor) / seconds if seconds and floor and " x " not in cell else None


def read_analysis(path: Path) -> Analysis:
    """Read and analyse the results of a run.

    Args:
        path: The folder of the run, or its results.json.

    Raises:
        BenchmarkError: There are none, or they are not what the suite writes.
    """
    file = path / RESULTS if path.is_dir() else path
    results = read_json(file)
    version = results.get("schema_version") if isinstance(results, dict) else None
    if version != SCHEMA_VERSION:
        raise BenchmarkError(f"{file}: has the schema_version {version!r}, expected {SCHEMA_VERSION}: measure again")
    try:
        return analyse(results)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise BenchmarkError(
            f"{file}: is not what python -m benchmarks run writes ({reason}); measure again"
        ) from error


def analyse(results: Mapping[str, Any]) -> Analysis:
    """Analyse the contents of results.json."""
    plan, reference = results["plan"], results["reference"]
    expected = np.array(reference["logits"], np.float32)
    found = {name: PeerResult(name, peers.find_peer(name).precision) for name in plan["peers"]}
    analysis = Analysis(plan, results["rows"], reference["operations"], found, plan["absent"], {}, [])
    analysis.weights, analysis.local_attention = reference.get("weights"), reference.get("local_attention")
    for record in results["samples"]:
        if "peer" in record:
            _add_to_peer(found[record["peer"]], record)
        else:
            _add_to_machine(analysis, record)
    for record in results["samples"]:
        if record["kind"] == "logits":
            peer, logits = found[record["peer"]], np.array(record["logits"], np.float32)
            peer.parity = compare(logits, expected, plan["activation"])
            peer.verdict = judge(peer.parity, peer.precision, plan["random_weights"])
    _leave_out_noise(analysis)
    return analysis


def _add_to_machine(analysis: Analysis, record: Mapping[str, Any]) -> None:
    kind = record["kind"]
    if kind == "peaks":
        for precision in record.keys() - {"kind", "load_average"}:
            analysis.peaks[precision] = max(analysis.peaks.get(precision, 0.0), record[precision])
        analysis.load_averages.append(record["load_average"])
    elif kind == "instructions":
        measured, before = Peaks(record["one"], record["every"]), analysis.instructions
        analysis.instructions = measured if before is None else before.join(measured)
    elif kind == "products":
        best = dict(analysis.products)
        for tokens, seconds in record["seconds"].items():
            best[int(tokens)] = min(best.get(int(tokens), seconds), seconds)
        analysis.products = best
    elif kind == "block":
        analysis.blocks.append(record)


def _add_to_peer(peer: PeerResult, record: Mapping[str, Any]) -> None:
    kind = record["kind"]
    if kind == "failure":
        peer.failures[record["mode"]] = record["reason"]
    elif kind == "start":
        peer.starts.append(record["seconds"])
        if peer.resident_bytes is None:
            peer.resident_bytes = record["resident_bytes"]
    elif kind == "memory":
        peer.peak_bytes = max(peer.peak_bytes or 0, record["peak_bytes"])
    elif kind == "size":
        peer.files_bytes, peer.environment_bytes = record["files_bytes"], record["environment_bytes"]
    elif kind == "turn":
        cell = peer.cells.setdefault(record["mode"], {}).setdefault(record["cell"], {})
        cell.setdefault(record["round"], []).extend(record["seconds"])
        if "joules" in record:
            energies = peer.joules.setdefault(record["mode"], {}).setdefault(record["cell"], {})
            energies[record["round"]] = record["joules"]


def _leave_out_noise(analysis: Analysis) -> None:
    """Mark the noisy rounds, and leave them out of the figures of a mode that has enough quiet ones."""
    judged = zip(analysis.blocks, find_noise(analysis.blocks), strict=True)
    analysis.noise = {(block["mode"], block["round"]): reasons for block, reasons in judged if reasons}
    left_out: set[tuple[str, int]] = set()
    for mode in analysis.plan["modes"]:
        rounds = {n for peer in analysis.peers.values() for cell in peer.cells.get(mode, {}).values() for n in cell}
        noisy = {number for number in rounds if (mode, number) in analysis.noise}
        if len(rounds - noisy) >= FEWEST_QUIET:
            left_out |= {(mode, number) for number in noisy}
    analysis.left_out = frozenset(left_out)
    for peer in analysis.peers.values():
        for measured in (peer.cells, peer.joules):
            for mode, cells in measured.items():
                for cell in cells.values():
                    for number in [number for number in cell if (mode, number) in left_out]:
                        del cell[number]
                for name in [name for name, cell in cells.items() if not cell]:
                    del cells[name]
