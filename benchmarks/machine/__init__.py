"""What a run ran on, without anything that identifies the machine, and how much disk space its packages take.

`peaks` measures what the machine does in a second, and `limits` says how fast that lets an answer be.
"""

import importlib.metadata
import os
import platform
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil
from packaging.requirements import Requirement

from assay.system.threads import usable_cores

__all__ = ["describe", "describe_gpu", "load_average", "measure_environment", "usable_cores"]


def describe() -> dict[str, Any]:
    """Describe the processor, cores, memory, system and Python. Leave out host and user names."""
    return {
        "processor": _name_processor(),
        "usable_cores": usable_cores(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def describe_gpu() -> dict[str, Any] | None:
    """Return the first GPU's name and memory, or None if PyTorch finds none."""
    import torch

    if not torch.cuda.is_available():
        return None
    properties = torch.cuda.get_device_properties(0)
    return {"name": properties.name, "memory_gb": round(properties.total_memory / 1e9, 1)}


def load_average() -> float | None:
    """Return the load average of the last minute, or None on a system that has none."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _name_processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    found = {key: re.search(rf"^{key}\s*: (.+)$", text, re.MULTILINE) for key in ("model name", "cpu family", "model")}
    words = {key: match[1] for key, match in found.items() if match}
    name = words.get("model name", platform.machine())
    return f"{name}, family {words['cpu family']}, model {words['model']}" if len(words) == 3 else name


def measure_environment(distributions: Iterable[str], search_path: list[str] | None = None) -> int:
    """Measure, in bytes, these distributions and everything they require, as installed, without extras.

    Args:
        distributions: Their names.
        search_path: Where they are installed. Default: where this process finds them.
    """
    where = sys.path if search_path is None else search_path
    seen: dict[str, int] = {}
    waiting = list(distributions)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in seen:
            continue
        found = next(iter(importlib.metadata.distributions(name=name, path=where)), None)
        if found is None:
            seen[name] = 0  # a requirement on another platform, or one left out on purpose
            continue
        files = (Path(str(found.locate_file(file))) for file in found.files or ())
        seen[name] = sum(path.stat().st_size for path in files if path.is_file())
        for text in found.requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return sum(seen.values())
