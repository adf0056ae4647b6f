"""RAPL counters: packages only, counters that begin again, and systems that show none."""

from pathlib import Path

import pytest

from benchmarks.machine.energy import Meter


def make_zone(folder: Path, zone: str, name: str, energy: int, limit: int = 1000) -> Path:
    made = folder / zone
    made.mkdir()
    for file, value in (("name", name), ("energy_uj", energy), ("max_energy_range_uj", limit)):
        (made / file).write_text(f"{value}\n", encoding="ascii")
    return made


def test_the_energy_of_all_packages_is_counted_once_and_across_the_limit_of_a_counter(tmp_path: Path) -> None:
    first = make_zone(tmp_path, "intel-rapl:0", "package-0", 100)
    second = make_zone(tmp_path, "intel-rapl:1", "package-1", 900)
    make_zone(tmp_path, "intel-rapl:0:0", "core", 50)
    make_zone(tmp_path, "intel-rapl:2", "psys", 50)
    meter = Meter.find(tmp_path)
    assert meter is not None
    before = meter.read()
    assert before == [100, 900]
    (first / "energy_uj").write_text("150\n", encoding="ascii")
    (second / "energy_uj").write_text("20\n", encoding="ascii")  # 900 to 1000, then from 0
    assert meter.joules(before, meter.read()) == pytest.approx((50 + 121) / 1e6)


def test_without_counters_nothing_is_measured(tmp_path: Path) -> None:
    assert Meter.find(tmp_path / "nothing") is None
    make_zone(tmp_path, "intel-rapl:2", "psys", 50)
    assert Meter.find(tmp_path) is None


def test_counters_that_cannot_be_read_are_none(tmp_path: Path) -> None:
    zone = make_zone(tmp_path, "intel-rapl:0", "package-0", 100)
    (zone / "energy_uj").unlink()
    assert Meter.find(tmp_path) is None
