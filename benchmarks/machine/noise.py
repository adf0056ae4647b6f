"""Whether the machine was quiet while something was measured: steal time, other processes, and probes of the cores.

`Watch` observes blocks of a measurement. A probe runs before and after each one (native/peak.cc, a quarter of a
second): float32 multiply-adds on one thread and on all, the best rate and the mean of many short repeats. A core that
others use lowers the mean. Two threads on one physical core lower what all threads gain over one.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks import ROOT
from benchmarks.errors import BenchmarkError
from benchmarks.machine import peaks

__all__ = ["Watch", "compute_steal", "find_noise", "is_shared_gain", "make_probe", "read_stat", "shares_cores"]

STAT = Path("/proc/stat")
SHARED_BELOW = 1.3
"""Two cores that together reach less than this multiple of one thread's peak share a physical core."""
MOST_STEAL, MOST_OTHERS = 0.02, 0.05  # of the time of the cores
LEAST_MEAN = 0.85  # of the best rate that a probe of the run reached
IDLE, IOWAIT, STEAL, STATES = 3, 4, 7, 8  # columns of /proc/stat; guest time, the ninth, is part of user time
TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
SLACK_SECONDS = 0.05  # the times of /proc/stat and of processes are rounded to ticks

Stat = Sequence[int]
Probe = Mapping[str, float]


def read_stat(path: Path = STAT, cores: Iterable[int] | None = None) -> list[int] | None:
    """Read the ticks that cores spent in each state, or None without /proc (see man 5 proc).

    Args:
        path: /proc/stat.
        cores: The numbers of the cores to add up. Default: all of the machine.
    """
    try:
        lines = [line.split() for line in path.read_text(encoding="ascii").splitlines() if line.startswith("cpu")]
    except OSError:
        return None
    wanted = {"cpu"} if cores is None else {f"cpu{core}" for core in cores}
    found = [[int(word) for word in words[1:]] for words in lines if words[0] in wanted]
    return [sum(column) for column in zip(*found, strict=True)] if found else None


def compute_steal(before: Stat | None, after: Stat | None) -> float | None:
    """Return the share of time that the hypervisor gave to others between two readings of /proc/stat."""
    if before is None or after is None or len(after) < STATES:
        return None
    spent = [end - start for start, end in zip(before[:STATES], after[:STATES], strict=True)]
    return spent[STEAL] / sum(spent) if sum(spent) else 0.0


def is_shared_gain(gain: float, threads: int) -> bool:
    """Return whether threads that together are this many times as fast as one must share physical cores."""
    return threads > 1 and gain < SHARED_BELOW * threads / 2


def make_probe(threads: int) -> Callable[[], Probe]:
    """Return a function that probes the cores now, and takes a quarter of a second.

    Raises:
        BenchmarkError: There is no C++ compiler.
    """
    program = peaks.build(ROOT / "build" / "probes")
    return lambda: peaks.run(program, threads, "probe")


class Watch:
    """Observes one block after the other."""

    def __init__(self, threads: int, probe: Callable[[], Probe] | None, stat: Path = STAT) -> None:
        """Prepare to watch.

        Args:
            threads: The number of threads that are measured.
            probe: What `make_probe` returns; None observes only steal time and other processes.
            stat: /proc/stat.
        """
        self._threads, self._probe, self._stat = threads, probe, stat
        self._last: Probe | None = None
        self._begun: tuple[Stat | None, float] = (None, 0.0)

    def begin(self) -> None:
        """Begin a block. The probe after the last one counts as the probe before this one."""
        if self._last is None:
            self._last = self._take_probe()
        self._begun = (self._read(), _own_seconds())

    def end(self) -> dict[str, Any]:
        """End the block.

        Returns:
            The shares of the cores' time that the hypervisor (`steal`) and other processes (`others`) took, and the
            probes `before` and `after`. None where this system does not tell.
        """
        stat, own = self._read(), _own_seconds()
        before, self._last = self._last, self._take_probe()
        return {
            "threads": self._threads,
            "steal": _round(compute_steal(self._begun[0], stat)),
            "others": _round(_compute_others(self._begun[0], stat, own - self._begun[1])),
            "before": before,
            "after": self._last,
        }

    def _read(self) -> list[int] | None:
        return read_stat(self._stat, os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None)

    def _take_probe(self) -> Probe | None:
        try:
            return None if self._probe is None else self._probe()
        except BenchmarkError:
            return None


def _compute_others(before: Stat | None, after: Stat | None, own_seconds: float) -> float | None:
    """Return the share of the cores' time that processes other than this one and its children used."""
    if before is None or after is None or len(after) < STATES:
        return None
    spent = [end - start for start, end in zip(before[:STATES], after[:STATES], strict=True)]
    busy = (sum(spent) - spent[IDLE] - spent[IOWAIT] - spent[STEAL]) / TICK
    total = sum(spent) / TICK
    return max(busy - own_seconds - SLACK_SECONDS, 0.0) / total if total else 0.0


def _own_seconds() -> float:
    """The processor time of this process and its children, those that have ended included."""
    times = psutil.Process().cpu_times()
    seconds = float(sum(times[:4]))
    for child in psutil.Process().children(recursive=True):
        try:
            seconds += sum(child.cpu_times()[:4])
        except psutil.Error:
            continue
    return seconds


def _round(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


def find_noise(blocks: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Say for each block of a run why the machine was noisy in it; an empty list is a quiet block.

    Args:
        blocks: What `Watch.end` returned. What is fast is told from the best probe of them all.
    """
    probes = [probe for block in blocks for probe in (block["before"], block["after"]) if probe]
    best = max((probe["all_best"] for probe in probes), default=0.0)
    shared = shares_cores(blocks)
    return [list(_explain_noise(block, best, shared)) for block in blocks]


def shares_cores(blocks: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether the cores share physical ones in every probe: a property of the machine, and no noise."""
    found = [
        (_gain(probe), block["threads"]) for block in blocks for probe in (block["before"], block["after"]) if probe
    ]
    return bool(found) and all(is_shared_gain(gain, threads) for gain, threads in found)


def _gain(probe: Probe) -> float:
    return probe["all_best"] / probe["one_best"]


def _explain_noise(block: Mapping[str, Any], best: float, shared: bool) -> Iterable[str]:
    if (block["steal"] or 0.0) > MOST_STEAL:
        yield f"steal time {block['steal']:.0%}"
    if (block["others"] or 0.0) > MOST_OTHERS:
        yield f"other processes {block['others']:.0%}"
    for when in ("before", "after"):
        probe = block[when]
        if probe and probe["all_mean"] < LEAST_MEAN * best:
            yield f"the probe {when} it at {probe['all_mean'] / best:.0%} of the best"
        if probe and not shared and is_shared_gain(_gain(probe), block["threads"]):
            yield f"threads on one core {when} it ({_gain(probe):.2f} times one thread)"
