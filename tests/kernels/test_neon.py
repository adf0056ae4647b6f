"""The NEON kernels: cross-compiled, run by qemu, compared with numpy."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.kernels.cases import ACTIVATION_NAMES, KINDS_OF_ROWS, Case, assert_close, make
from tests.kernels.reference import ACTIVATIONS

ROOT = Path(__file__).parents[2]
COMPILER = "aarch64-linux-gnu-g++"
EMULATOR = "qemu-aarch64"
SYSTEM = Path("/usr/aarch64-linux-gnu")
TOOLS = ["cmake", "ninja", COMPILER, EMULATOR]

ARRAYS = ["weight", "weight_scale", "column_sum", "bias"]


@pytest.fixture(scope="session")
def run_linear() -> Path:
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    build = ROOT / "build/kernels-aarch64"
    configure: list[str | Path] = [
        "cmake", "-S", ROOT / "kernels", "-B", build, "-G", "Ninja", "-DASSAY_KERNELS_TESTS=ON",
        "-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64", f"-DCMAKE_CXX_COMPILER={COMPILER}",
    ]  # fmt: skip
    compile_it: list[str | Path] = ["cmake", "--build", build, "--target", "run_linear"]
    for command in (configure, compile_it):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return build / "run_linear"


def described(case: Case) -> bytes:
    layer, tensors = case.layer, case.layer.initializers
    # The order of ACTIVATIONS is that of the enumeration in linear_kernels.h.
    activation = list(ACTIVATIONS).index(layer.activation.removeprefix("geglu_"))
    groups, padded = tensors["column_sum"].shape
    k, n = layer.weight.shape
    head = [
        k, n, layer.group, groups, padded, len(layer.outlier_columns), len(case.x),
        activation, layer.gated, layer.epilogue == "add_layer_norm",
    ]  # fmt: skip
    first, last = layer.prologue == "layer_norm", layer.epilogue == "add_layer_norm"
    arrays = [
        case.x,
        *(tensors.get(name) for name in ARRAYS),
        case.residual,
        layer.norm_gain if first else None,
        layer.norm_gain if last else None,
        layer.norm_bias,
        tensors.get("outlier_columns"),
        tensors.get("outlier_weight"),
    ]
    parts = [np.array(head, np.int64).tobytes()]
    for array in arrays:
        parts.append(np.int64(0 if array is None else array.size).tobytes())
        parts.append(b"" if array is None else np.ascontiguousarray(array).tobytes())
    return b"".join(parts)


def answers(program: Path, instruction_set: str, cases: list[Case], folder: Path) -> list[np.ndarray]:
    (folder / "cases").write_bytes(b"".join(map(described, cases)))
    command: list[str | Path] = [EMULATOR, "-L", SYSTEM, "-cpu", "max", program, folder / "cases", folder / "results"]
    environment = os.environ | {"ASSAY_KERNELS_ISA": instruction_set}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == instruction_set
    shapes = [(len(case.x), case.layer.columns) for case in cases]
    flat = np.fromfile(folder / "results", np.float32)
    ends = np.cumsum([rows * columns for rows, columns in shapes])
    assert ends[-1] == len(flat)
    return [part.reshape(shape) for part, shape in zip(np.split(flat, ends[:-1]), shapes, strict=True)]


def assorted() -> list[Case]:
    cases = [make(k=96, n=192, tokens=9, activation=name, seed=i) for i, name in enumerate(ACTIVATION_NAMES)]
    cases += [make(k=200, n=70, tokens=3, kinds=(kind,), outliers=3) for kind in KINDS_OF_ROWS]
    random = np.random.default_rng(7)
    for seed in range(30):
        prologue = ["none", "layer_norm"][seed % 2]
        cases.append(
            make(
                k=int(random.integers(1, 400)),
                n=int(random.integers(1, 200)),
                tokens=int(random.integers(1, 40)),
                seed=seed,
                group=int(random.choice([0, 64, 128, 256])),
                prologue=prologue,
                epilogue=["none", "none", "add", "add", "add_layer_norm", "none"][seed % 6],
                outliers=int(random.choice([0, 2])),
                extremes=seed % 5 == 0,
                bias=seed % 3 > 0,
            )
        )
    cases.append(make(k=3072, n=130, tokens=21, group=128))
    cases.append(make(k=65536, n=2, tokens=3, extremes=True))
    return cases


@pytest.mark.parametrize("instruction_set", ["neon_dotprod", "neon_i8mm", "plain"])
def test_layers_are_close_to_the_reference(instruction_set: str, run_linear: Path, tmp_path: Path) -> None:
    cases = assorted()
    for case, y in zip(cases, answers(run_linear, instruction_set, cases, tmp_path), strict=True):
        assert_close(case, y)


@pytest.mark.parametrize("instruction_set", ["neon_dotprod", "neon_i8mm"])
def test_a_row_has_the_same_bits_alone_and_in_a_batch(instruction_set: str, run_linear: Path, tmp_path: Path) -> None:
    whole = make(k=300, n=100, tokens=23, activation="gelu", group=64)
    alone = [Case(whole.layer, whole.x[i : i + 1], None) for i in range(len(whole.x))]
    batch, *rows = answers(run_linear, instruction_set, [whole, *alone], tmp_path)
    np.testing.assert_array_equal(np.concatenate(rows).view(np.int32), batch.view(np.int32))
