"""The NEON kernels: cross-compiled, run by qemu, compared with numpy."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.kernels.attention.attention_reference import Attention, Case
from tests.kernels.attention.conftest import assert_close

ROOT = Path(__file__).parents[3]
COMPILER, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"
TABLES = [f"position_{part}{suffix}" for part in ("keys", "queries") for suffix in ("", "_scale", "_sum")]


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if missing := [tool for tool in (COMPILER, EMULATOR) if shutil.which(tool) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    target = tmp_path_factory.mktemp("neon") / "run_attention"
    source = ROOT / "kernels/src"
    command: list[str | Path] = [
        COMPILER, "-std=c++17", "-O2", "-ffp-contract=off", "-march=armv8.2-a+dotprod", "-static", f"-I{source}",
        "-DATTENTION=assay::attention_neon_dotprod", Path(__file__).with_name("run_attention.cc"),
        source / "attention/attention_neon_dotprod.cc", source / "attention/rotation.cc", "-o", target,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


def described(case: Attention) -> bytes:
    tensors = case.tensors | case.initializers
    scale = tensors.get("position_keys_scale", tensors.get("position_queries_scale"))
    panels = tensors.get("position_keys", tensors.get("position_queries"))
    rows = scale.shape[1] if scale is not None else panels.shape[1] * 16 if panels is not None else 0
    head = [
        case.key.shape[1], case.key.shape[2], case.arithmetic == "float32", case.first_token, case.half_window,
        len(tensors.get("bucket_rows", ())) // 2, rows, len(case.lengths), len(case.key),
    ]  # fmt: skip
    parts = [np.array(head, np.int64).tobytes()]
    for name in ["query", "kv", "row_starts", "frequencies", "bucket_rows", *TABLES]:
        array = tensors.get(name, np.zeros(0, np.int32))
        words = array.view(np.int32).ravel() if array.dtype == np.int8 else array.ravel()
        parts += [np.int64(words.size).tobytes(), words.tobytes()]
    return b"".join(parts)


def cases() -> list[Attention]:
    frequencies = (1 / 10000.0 ** (np.arange(0, 20, 2) / 20)).astype(np.float32)
    result = []
    for arithmetic in ("int8", "float32"):
        for first_token in (False, True):
            options = {"arithmetic": arithmetic, "first_token": first_token}
            for keys, queries in ((True, True), (True, False), (False, True)):
                result.append(
                    Case([1, 70, 17, 130], d=12, options=options).attention(8, 40, keys=keys, queries=queries)
                )
            result.append(Case([600, 3], heads=1, d=33, options=options).attention(64, 512, keys=True, queries=True))
            result.append(Case([5, 33], d=7, options=options).attention())
            for half_window in (-1, 0, 3, 64):
                rotary = options | {"frequencies": frequencies, "half_window": half_window}
                result.append(Case([1, 530, 16], d=20, options=rotary).attention())
    spoilt = Case([4, 70], options={"arithmetic": "int8"}).attention(8, 40, keys=True, queries=True)
    spoilt.value[40, 1, 3] = np.nan
    return [*result, spoilt]


def test_neon(program: Path, tmp_path: Path) -> None:
    given = cases()
    (tmp_path / "cases").write_bytes(b"".join(map(described, given)))
    command: list[str | Path] = [EMULATOR, program, tmp_path / "cases", tmp_path / "results"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = np.fromfile(tmp_path / "results", np.float32)
    sizes = [(len(case.query), case.key.shape[1] * case.key.shape[2]) for case in given]
    outputs = np.split(results, np.cumsum([rows * width for rows, width in sizes]))
    assert not outputs.pop().size
    for case, size, y in zip(given[:-1], sizes, outputs, strict=False):
        assert_close(case, y.reshape(size))
    spoilt = outputs[-1].reshape(74, 2, -1)
    assert np.isnan(spoilt[4:, 1]).all()
    assert np.isfinite(spoilt[:, 0]).all()
    assert np.isfinite(spoilt[:4]).all()
