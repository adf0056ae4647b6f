"""How fast a bundle answers on this machine, for its card."""

import os
import platform
import statistics
import time
from pathlib import Path

from assay.bundle import golden
from assay.bundle.folder import Bundle
from assay.errors import InputError
from assay.loading import load

__all__ = ["measure"]

_WARM_UPS, _RUNS = 5, 50


def measure(bundle: Bundle, threads: int | None) -> str:
    """Return how long the bundle takes for one row, in a sentence: the median over the texts of its golden rows.

    Raises:
        InputError: The bundle has no golden texts.
    """
    rows = [text.row for text in golden.read(bundle).texts]
    if not rows:
        raise InputError(
            f"{bundle.folder}: has no golden texts to measure with; export it again, or leave out --measure"
        )
    with load(bundle.folder, threads=threads) as model:
        seconds = []
        for number in range(_WARM_UPS + _RUNS):
            row = rows[number % len(rows)]
            start = time.perf_counter()
            model.logits([row], truncate=True)
            seconds.append(time.perf_counter() - start)
        info = model.info
    median = statistics.median(seconds[_WARM_UPS:]) * 1e3
    return (
        f"{median:.2f} ms for one row: the median of {_RUNS} runs over the texts of `golden.json`, variant "
        f"{info['variant']} on {info['threads']} threads of {_name_processor()} ({platform.system()}). Other texts, "
        "machines and loads differ."
    )


def _name_processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return f"{platform.machine()}, {os.cpu_count()} processors"
