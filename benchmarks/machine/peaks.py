"""The peaks of this machine: instruction rates from registers, and the bandwidth of reading memory.

The measuring is in native/peak.cc, which the C++ compiler of this machine (CXX, g++, c++ or clang++) compiles once into
build/probes. It times int8, bf16 and fp32 multiply-adds (VNNI, AMX, AVX2 or NEON, whatever the processor has).
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks import ROOT
from benchmarks.errors import BenchmarkError
from benchmarks.machine import describe, usable_cores

__all__ = ["BANDWIDTH", "Peaks", "build", "choose_int8", "choose_rate", "measure", "run"]

SOURCE = Path(__file__).parent / "native" / "peak.cc"
COMPILERS = ("g++", "c++", "clang++")
OPTIONS = ("-O3", "-std=c++17", "-pthread")
BANDWIDTH = "read_bytes"


@dataclass(frozen=True)
class Peaks:
    """Operations or bytes per second by name, on one thread and on all usable cores."""

    one: Mapping[str, float]
    every: Mapping[str, float]

    @property
    def int8(self) -> float:
        """Int8 operations per second of the whole machine. A second core that is busy cannot make it slower."""
        return max(choose_int8(self.every), choose_int8(self.one))

    @property
    def bytes_per_second(self) -> float:
        """Bytes that the whole machine reads per second."""
        return max(self.every[BANDWIDTH], self.one[BANDWIDTH])

    def join(self, other: Self) -> "Peaks":
        """Return the better of two measurements, rate by rate."""
        parts = ((self.one, other.one), (self.every, other.every))
        one, every = ({name: max(a[name], b[name]) for name in a} for a, b in parts)
        return Peaks(one, every)

    def __str__(self) -> str:
        return (
            f"{describe()['processor']}; measured peaks on {usable_cores()} cores (one): int8 {self.int8 / 1e12:.3f} "
            f"({choose_int8(self.one) / 1e12:.3f}) Top/s, memory read {self.bytes_per_second / 1e9:.1f} "
            f"({self.one[BANDWIDTH] / 1e9:.1f}) GB/s"
        )


def measure(threads: int | None = None) -> Peaks:
    """Measure this machine now, which takes some seconds.

    Args:
        threads: How many threads to measure besides one. Default: the usable cores.

    Raises:
        BenchmarkError: There is no C++ compiler, or it fails.
    """
    program = build(ROOT / "build" / "probes")
    one, threads = run(program, 1), threads or usable_cores()
    return Peaks(one, run(program, threads) if threads > 1 else one)


def build(cache: Path) -> Path:
    """Compile peak.cc into the folder `cache`, unless an earlier run has.

    Raises:
        BenchmarkError: There is no C++ compiler, or it fails.
    """
    compiler = os.environ.get("CXX") or next((name for name in COMPILERS if shutil.which(name)), None)
    if compiler is None or shutil.which(compiler) is None:
        looked_for = compiler or ", ".join(COMPILERS)
        raise BenchmarkError(f"found no C++ compiler ({looked_for}): install g++, or set CXX to the one to use")
    digest = hashlib.sha256(SOURCE.read_bytes() + compiler.encode()).hexdigest()[:12]
    program = cache / f"peak-{digest}"
    if program.exists():
        return program
    cache.mkdir(parents=True, exist_ok=True)
    partial = cache / f".{program.name}.{os.getpid()}"
    done = subprocess.run([compiler, *OPTIONS, "-o", str(partial), str(SOURCE)], capture_output=True, text=True)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
        reason = errors[0][:300] if errors else f"exit code {done.returncode}"
        raise BenchmarkError(f"{compiler} cannot compile {SOURCE.name} ({reason}): set CXX to GCC 11 or newer")
    partial.replace(program)
    return program


def run(program: Path, threads: int, *words: str) -> dict[str, float]:
    """Run the measurements on this many threads, and return the rates by name.

    Args:
        program: What `build` returned.
        threads: The number of threads.
        words: More of the program's arguments.

    Raises:
        BenchmarkError: The program fails.
    """
    done = subprocess.run([str(program), str(threads), *words], capture_output=True, text=True)
    if done.returncode:
        raise BenchmarkError(f"{program} ended with exit code {done.returncode}: {done.stderr.strip()[:300]}")
    lines = (line.split() for line in done.stdout.splitlines())
    return {name: float(value) for name, value in lines}


def choose_int8(rates: Mapping[str, float]) -> float:
    """Return the highest rate of int8 products, or of int16 products on a processor that has no int8 instruction.

    Raises:
        BenchmarkError: Neither was measured.
    """
    for prefix in ("int8_", "int16_"):
        if found := [rate for name, rate in rates.items() if name.startswith(prefix)]:
            return max(found)
    raise BenchmarkError("this processor has none of the instructions that peak.cc measures: no floor can be computed")


def choose_rate(rates: Mapping[str, float], precision: str) -> float | None:
    """Return the highest rate of products in a precision, or None if this processor has no instruction for them."""
    if precision == "int8":
        return choose_int8(rates) if any(name.startswith("int") for name in rates) else None
    return max((rate for name, rate in rates.items() if name.startswith(f"{precision}_")), default=None)
