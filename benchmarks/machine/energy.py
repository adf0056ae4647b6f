"""The energy that the processor packages used, from RAPL counters that Linux shows below /sys/class/powercap.

Most systems let only root read them, and most virtual machines have none. Then nothing is measured.
"""

from pathlib import Path
from typing import Self

__all__ = ["Meter"]

POWERCAP = Path("/sys/class/powercap")


class Meter:
    """The packages' counters. They count microjoules and begin again at a limit."""

    def __init__(self, zones: list[Path]) -> None:
        self._zones = zones
        self._limits = [_read(zone / "max_energy_range_uj") for zone in zones]

    @classmethod
    def find(cls, folder: Path = POWERCAP) -> Self | None:
        """Find the counters of whole packages, or None if there are none or they cannot be read."""
        try:
            # intel-rapl:0 is a package, intel-rapl:0:1 a part of it; psys counts the packages once more.
            zones = [zone for zone in sorted(folder.glob("intel-rapl:*")) if zone.name.count(":") == 1]
            packages = [zone for zone in zones if (zone / "name").read_text(encoding="ascii").startswith("package")]
            meter = cls(packages)
            meter.read()
        except (OSError, ValueError):
            return None
        return meter if packages else None

    def read(self) -> list[int]:
        """Read the counters, in microjoules.

        Raises:
            OSError: They cannot be read any more.
        """
        return [_read(zone / "energy_uj") for zone in self._zones]

    def joules(self, before: list[int], after: list[int]) -> float:
        """Return the joules between two readings, less than a counter's limit apart."""
        limits = zip(before, after, self._limits, strict=True)
        return sum((end - start) % (limit + 1) for start, end, limit in limits) / 1e6


def _read(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))
