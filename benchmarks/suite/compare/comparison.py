"""Compares two runs cell by cell: what became faster or slower by more than both runs spread.

A cell's time is the median of its rounds, and its spread the 10th and the 90th percentile of them. The ratio of two
runs is that of their medians. The least ratio that the spreads allow divides B's 10th percentile by A's 90th, the
greatest the reverse. A cell is slower if even the least ratio is above 1, and the ratio is above 1 plus the threshold.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from benchmarks.errors import BenchmarkError
from benchmarks.suite.report.analysis import Analysis
from benchmarks.suite.report.statistics import round_times
from benchmarks.timing import Ratio

__all__ = ["Change", "Outcome", "compare_runs", "compare_times", "refuse_unlike"]

Outcome = Literal[
    "faster", "slower", "same", "failed", "works now", "wrong", "too few rounds", "only in A", "only in B"
]
REGRESSIONS: tuple[Outcome, ...] = ("slower", "failed", "wrong")
SPREAD = (10, 90)  # percentiles of the rounds
FEWEST_ROUNDS = 3  # below this a spread says nothing


@dataclass(frozen=True)
class Change:
    """What became of one peer in one cell, or of the whole peer if `cell` is empty."""

    peer: str
    mode: str
    cell: str
    outcome: Outcome
    before: float | None = None  # seconds, or with `relative_to` the ratio to that peer
    after: float | None = None
    ratio: Ratio | None = None
    reason: str = ""

    @property
    def is_regression(self) -> bool:
        """Whether B is worse than A."""
        return self.outcome in REGRESSIONS


def refuse_unlike(before: Analysis, after: Analysis, across_machines: bool) -> None:
    """Refuse two runs whose times say nothing about each other.

    Args:
        before: Run A.
        after: Run B.
        across_machines: Accept another machine and another number of threads.

    Raises:
        BenchmarkError: They differ in the model, in the device, in the texts, or in the machine.
    """
    for what, one, other in _list_conditions(before.plan, after.plan):
        if one != other:
            raise BenchmarkError(f"the runs are not comparable: A has the {what} {one!r}, B has {other!r}")
    for what, one, other in () if across_machines else _list_machine(before.plan, after.plan):
        if one != other:
            raise BenchmarkError(
                f"the runs are not comparable: A has the {what} {one!r}, B has {other!r}; "
                "--across-machines compares them all the same"
            )


def _list_conditions(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    # The same weights are the same model, wherever its folder is.
    key = "weights_sha256" if a.get("weights_sha256") and b.get("weights_sha256") else "model"
    if a[key] != b[key]:
        one, other = (f"{plan['model']} ({str(plan[key])[:12]})" for plan in (a, b))
        yield "model", one, other
    yield "device", a["device"], b["device"]


def _list_machine(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in ("processor", "usable_cores", "system"):
        yield name.replace("_", " "), a["machine"][name], b["machine"][name]
    one, other = (plan["gpu"]["name"] if plan["gpu"] else None for plan in (a, b))
    yield "GPU", one, other
    yield "number of threads", a["threads"], b["threads"]


def compare_times(before: Mapping[int, float], after: Mapping[int, float], threshold: float) -> tuple[Outcome, Ratio]:
    """Compare the times of the rounds of one cell in two runs.

    Args:
        before: By round, the time in run A.
        after: The same in run B.
        threshold: The least change that counts, 0.05 for 5 %.
    """
    one, other = (list(rounds.values()) for rounds in (before, after))
    (low, high), (later_low, later_high) = (np.percentile(values, SPREAD) for values in (one, other))
    ratio = Ratio(float(np.median(other) / np.median(one)), float(later_low / high), float(later_high / low))
    if min(len(one), len(other)) < FEWEST_ROUNDS:
        return "too few rounds", ratio
    if ratio.least > 1 and ratio.median > 1 + threshold:
        return "slower", ratio
    if ratio.greatest < 1 and ratio.median < 1 / (1 + threshold):
        return "faster", ratio
    return "same", ratio


def compare_runs(
    before: Analysis, after: Analysis, threshold: float, relative_to: str | None = None, across_machines: bool = False
) -> list[Change]:
    """Compare every cell that both runs measured, and say which peers failed or answer wrongly in only one of them.

    Args:
        before: Run A.
        after: Run B.
        threshold: The least change that counts.
        relative_to: Compare times over those of this peer in the same round, which cancels a slower machine.
        across_machines: Accept another machine and another number of threads.

    Raises:
        BenchmarkError: The runs are not comparable, have no cell in common, or lack `relative_to`.
    """
    refuse_unlike(before, after, across_machines)
    for name, analysis in (("A", before), ("B", after)):
        if relative_to is not None and relative_to not in analysis.peers:
            raise BenchmarkError(f"{name} has not measured {relative_to}, expected one of {', '.join(analysis.peers)}")
    changes = [
        change
        for name in dict.fromkeys([*before.peers, *after.peers])
        if name != relative_to
        for change in _compare_peer(before, after, name, threshold, relative_to)
    ]
    if not any(change.ratio for change in changes):
        raise BenchmarkError("the runs are not comparable: no peer has times of the same setting and length in both")
    return changes


def _compare_peer(
    before: Analysis, after: Analysis, name: str, threshold: float, relative_to: str | None
) -> Iterator[Change]:
    for there, missing in ((before, after), (after, before)):
        if name not in missing.peers:
            reason = missing.absent.get(name, "not asked for")
            yield Change(name, "", "", "only in A" if there is before else "only in B", reason=reason)
            return
    old, new = before.peers[name], after.peers[name]
    if old.verdict != "failed" and new.verdict == "failed":
        yield Change(name, "", "", "wrong", reason="its answers differ from PyTorch's in B and not in A")
    for mode in dict.fromkeys([*old.failures, *new.failures]):
        if (mode in old.failures) != (mode in new.failures):
            outcome: Outcome = "failed" if mode in new.failures else "works now"
            yield Change(name, mode, "", outcome, reason=new.failures.get(mode) or old.failures[mode])
    for mode in dict.fromkeys([*old.cells, *new.cells]):
        for cell in dict.fromkeys([*old.cells.get(mode, {}), *new.cells.get(mode, {})]):
            first, second = (_read_times(analysis, name, mode, cell, relative_to) for analysis in (before, after))
            if not first or not second:
                if mode in before.plan["modes"] and mode in after.plan["modes"] and not new.failures:
                    yield Change(name, mode, cell, "only in A" if first else "only in B", reason="not measured")
                continue
            if _describe_texts(before, mode, cell) != _describe_texts(after, mode, cell):
                yield Change(name, mode, cell, "only in A", reason="B measured texts of other lengths")
                continue
            outcome, ratio = compare_times(first, second, threshold)
            old_time, new_time = (float(np.median(list(times.values()))) for times in (first, second))
            yield Change(name, mode, cell, outcome, old_time, new_time, ratio)


def _read_times(analysis: Analysis, name: str, mode: str, cell: str, relative_to: str | None) -> dict[int, float]:
    """Read the time of each round, over the other peer's in that round if `relative_to` names one."""
    times = round_times(analysis.peers[name].cells.get(mode, {}).get(cell, {}))
    if relative_to is None:
        return times
    base = round_times(analysis.peers[relative_to].cells.get(mode, {}).get(cell, {}))
    return {number: times[number] / base[number] for number in times if number in base}


def _describe_texts(analysis: Analysis, mode: str, cell: str) -> Any:
    """The tokens that a cell's times belong to."""
    return analysis.rows["lengths"][cell] if mode == "latency" else sorted(analysis.rows["throughput_tokens"])
