import os
from pathlib import Path

import pytest

from assay.system.threads import usable_cores


@pytest.fixture(autouse=True)
def sixteen_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)


def cores(tmp_path: Path, proc: str, files: dict[str, str]) -> int:
    """usable_cores in a made-up cgroup tree."""
    (tmp_path / "cgroup").write_text(proc)
    for name, content in files.items():
        path = tmp_path / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return usable_cores(tmp_path / "cgroup", tmp_path / "fs")


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("max 100000", 16),
        ("200000 100000", 2),
        ("150000 100000", 1),
        ("50000 100000", 1),
        ("9900000 100000", 16),
        ("200000 50000", 4),
        ("", 16),
        ("nonsense", 16),
        ("100000 0", 16),
    ],
)
def test_a_quota_of_version_2_limits_the_cores(limit: str, expected: int, tmp_path: Path) -> None:
    assert cores(tmp_path, "0::/pod/box\n", {"pod/box/cpu.max": limit}) == expected


def test_the_quota_of_a_parent_group_limits_the_cores(tmp_path: Path) -> None:
    files = {"pod/box/cpu.max": "800000 100000", "pod/cpu.max": "300000 100000", "cpu.max": "max 100000"}
    assert cores(tmp_path, "0::/pod/box\n", files) == 3


def test_in_a_container_the_mount_itself_is_the_group(tmp_path: Path) -> None:
    assert cores(tmp_path, "0::/not/visible/here\n", {"cpu.max": "300000 100000"}) == 3
    assert cores(tmp_path, "0::/../../box\n", {"cpu.max": "300000 100000"}) == 3


@pytest.mark.parametrize(
    ("controllers", "mount"), [("cpu", "cpu"), ("cpu,cpuacct", "cpu,cpuacct"), ("cpuacct,cpu", "cpu")]
)
@pytest.mark.parametrize(("quota", "expected"), [("-1", 16), ("400000", 4), ("1000", 1), ("", 16)])
def test_a_quota_of_version_1_limits_the_cores(
    controllers: str, mount: str, quota: str, expected: int, tmp_path: Path
) -> None:
    files = {f"{mount}/box/cpu.cfs_quota_us": quota, f"{mount}/box/cpu.cfs_period_us": "100000"}
    assert cores(tmp_path, f"7:memory:/other\n4:{controllers}:/box\n", files) == expected


def test_without_cgroups_the_affinity_mask_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert usable_cores(tmp_path / "none", tmp_path / "none") == 16
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    assert usable_cores(tmp_path / "none", tmp_path / "none") == 1


def test_without_an_affinity_mask_the_machine_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert usable_cores(tmp_path / "none", tmp_path / "none") == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores(tmp_path / "none", tmp_path / "none") == 1


def test_this_machine_has_at_least_one_core() -> None:
    assert usable_cores() >= 1
