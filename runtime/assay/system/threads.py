"""Count the cores that this process may use, which ONNX Runtime does not look up itself.

ONNX Runtime starts one thread per physical core of the machine. In a container limited to 2 of 64 cores, 64 threads
share a quota of 2, and each run waits for the slowest of them. Python 3.11 has no os.process_cpu_count, and later
versions ignore the quota.
"""

import os
from pathlib import Path

__all__ = ["usable_cores"]

_PROC_CGROUP = Path("/proc/self/cgroup")
_CGROUP_ROOT = Path("/sys/fs/cgroup")


def usable_cores(proc_cgroup: Path = _PROC_CGROUP, cgroup_root: Path = _CGROUP_ROOT) -> int:
    """Return the smaller of the affinity mask's cores and the cgroup's CPU quota, and at least 1.

    A quota of 1.5 cores counts as 1: a second thread would be throttled half of the time, and the first would wait
    for it.
    """
    # Python cannot read an affinity mask on macOS and Windows.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for quota in _read_quotas(proc_cgroup, cgroup_root):
        cores = min(cores, int(quota))
    return max(1, cores)


def _read_quotas(proc_cgroup: Path, root: Path) -> list[float]:
    """Return the CPU quotas, in cores, of this process's cgroup and its ancestors (kernel docs: cgroup-v1, -v2)."""
    quotas: list[float | None] = []
    for line in _read(proc_cgroup).splitlines():
        # "0::/path" for version 2, "4:cpu,cpuacct:/path" for version 1
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if not controllers:
            quotas += [_read_quota_v2(folder) for folder in _list_ancestors(root, group)]
        elif "cpu" in controllers.split(","):
            for mount in dict.fromkeys((controllers, "cpu", "cpu,cpuacct")):
                quotas += [_read_quota_v1(folder) for folder in _list_ancestors(root / mount, group)]
    return [quota for quota in quotas if quota is not None]


def _list_ancestors(mount: Path, group: str) -> list[Path]:
    """Return the folders of a cgroup and its ancestors. In a container the mount itself may be the cgroup."""
    parts = [part for part in group.split("/") if part not in ("", ".", "..")]
    return [mount.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1)]


def _read_quota_v2(folder: Path) -> float | None:
    """Read cpu.max: "$MAX $PERIOD" in microseconds. MAX is "max" without a limit."""
    words = _read(folder / "cpu.max").split()
    return _divide(words[0], words[1]) if len(words) == 2 else None


def _read_quota_v1(folder: Path) -> float | None:
    """Read cpu.cfs_quota_us and cpu.cfs_period_us. The quota is -1 without a limit."""
    return _divide(_read(folder / "cpu.cfs_quota_us").strip(), _read(folder / "cpu.cfs_period_us").strip())


def _divide(quota: str, period: str) -> float | None:
    if not quota.isdecimal() or not period.isdecimal() or int(period) == 0 or int(quota) == 0:
        return None
    return int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
