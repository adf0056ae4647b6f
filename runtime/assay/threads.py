"""How many threads one run may use: the cores that this process is allowed, which ONNX Runtime does not look up itself.

ONNX Runtime starts one thread per physical core of the machine. In a container limited to 2 of 64 cores, 64 threads
share a quota of 2, and each run waits for the slowest of them. Python 3.11 has no os.process_cpu_count, and later ones
do not look at the quota.
"""

import os
from pathlib import Path

__all__ = ["usable_cores"]

_PROC_CGROUP = Path("/proc/self/cgroup")
_CGROUP_ROOT = Path("/sys/fs/cgroup")


def usable_cores(proc_cgroup: Path = _PROC_CGROUP, cgroup_root: Path = _CGROUP_ROOT) -> int:
    """Cores this process may keep busy: the least of its affinity mask and its cgroup's CPU quota, and at least 1.

    A quota of 1.5 cores counts as 1: a second thread would be throttled for half of its time, and both wait for it.
    """
    # macOS and Windows have no affinity mask to ask for.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for quota in _quotas(proc_cgroup, cgroup_root):
        cores = min(cores, int(quota))
    return max(1, cores)


def _quotas(proc_cgroup: Path, root: Path) -> list[float]:
    """The CPU quotas, in cores, of this process's cgroup and those above it (kernel docs: cgroup-v1, cgroup-v2)."""
    quotas: list[float | None] = []
    for line in _read(proc_cgroup).splitlines():
        # "0::/path" for version 2, "4:cpu,cpuacct:/path" for version 1
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if not controllers:
            quotas += [_quota_v2(folder) for folder in _upwards(root, group)]
        elif "cpu" in controllers.split(","):
            for mount in dict.fromkeys((controllers, "cpu", "cpu,cpuacct")):
                quotas += [_quota_v1(folder) for folder in _upwards(root / mount, group)]
    return [quota for quota in quotas if quota is not None]


def _upwards(mount: Path, group: str) -> list[Path]:
    """The folders of a cgroup and its ancestors. In a container the path may not exist, and the mount is the group."""
    parts = [part for part in group.split("/") if part not in ("", ".", "..")]
    return [mount.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1)]


def _quota_v2(folder: Path) -> float | None:
    """cpu.max holds "$MAX $PERIOD" in microseconds; MAX is "max" where there is no limit."""
    words = _read(folder / "cpu.max").split()
    return _ratio(words[0], words[1]) if len(words) == 2 else None


def _quota_v1(folder: Path) -> float | None:
    """cpu.cfs_quota_us is -1 where there is no limit."""
    return _ratio(_read(folder / "cpu.cfs_quota_us").strip(), _read(folder / "cpu.cfs_period_us").strip())


def _ratio(quota: str, period: str) -> float | None:
    if not quota.isdecimal() or not period.isdecimal() or int(period) == 0 or int(quota) == 0:
        return None
    return int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
