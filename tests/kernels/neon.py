"""The programs run_linear and run_attention for 64-bit ARM: cross-compiled, and run by qemu."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.kernels.effort import SANITIZED

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build/kernels-aarch64"
COMPILER = "aarch64-linux-gnu-g++"
EMULATOR = "qemu-aarch64"
SYSTEM = Path("/usr/aarch64-linux-gnu")
TOOLS = ["cmake", "ninja", COMPILER, EMULATOR]


def build() -> None:
    """Build the programs, or skip the test where a tool is missing."""
    if SANITIZED:
        pytest.skip("the sanitizers do not reach what qemu runs")
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    configure: list[str | Path] = [
        "cmake", "-S", ROOT / "kernels", "-B", BUILD, "-G", "Ninja", "-DASSAY_KERNELS_TESTS=ON",
        "-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64", f"-DCMAKE_CXX_COMPILER={COMPILER}",
    ]  # fmt: skip
    compile_both: list[str | Path] = ["cmake", "--build", BUILD, "--target", "run_linear", "run_attention"]
    BUILD.mkdir(parents=True, exist_ok=True)
    # The processes of pytest-xdist share the folder.
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in (configure, compile_both):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr


def encode(head: list[int], arrays: list[np.ndarray | None]) -> bytes:
    """A case as the programs read it: the numbers of `head`, then each array after its length."""
    parts = [np.array(head, np.int64).tobytes()]
    for array in arrays:
        parts.append(np.int64(0 if array is None else array.size).tobytes())
        parts.append(b"" if array is None else np.ascontiguousarray(array).tobytes())
    return b"".join(parts)


def run(
    program: str, instruction_set: str, cases: list[bytes], shapes: list[tuple[int, int]], folder: Path
) -> list[np.ndarray]:
    """The float32 results of the cases, in these shapes."""
    (folder / "cases").write_bytes(b"".join(cases))
    files: list[str | Path] = [BUILD / program, folder / "cases", folder / "results"]
    command: list[str | Path] = [EMULATOR, "-L", SYSTEM, "-cpu", "max", *files]
    environment = os.environ | {"ASSAY_KERNELS_ISA": instruction_set}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == instruction_set
    flat = np.fromfile(folder / "results", np.float32)
    ends = np.cumsum([rows * columns for rows, columns in shapes])
    assert ends[-1] == len(flat)
    return [part.reshape(shape) for part, shape in zip(np.split(flat, ends[:-1]), shapes, strict=True)]
