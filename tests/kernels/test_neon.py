"""The NEON kernels: cross-compiled, run by qemu, compared with numpy."""

from pathlib import Path

import numpy as np
import pytest

from tests.kernels import neon, test_float_linear, test_linear
from tests.kernels.cases import ACTIVATION_NAMES, KINDS_OF_ROWS, Case, assert_close, in_float, make
from tests.kernels.reference import ACTIVATIONS, FloatLayer

ARRAYS = ["weight_scale", "column_sum", "bias"]


@pytest.fixture(scope="session", autouse=True)
def built() -> None:
    neon.build()


def describe(case: Case) -> bytes:
    layer, tensors = case.layer, case.layer.initializers
    # The order of ACTIVATIONS is that of the enumeration in linear_kernels.h.
    activation = list(ACTIVATIONS).index(layer.activation.removeprefix("geglu_"))
    is_float = isinstance(layer, FloatLayer)
    groups, padded = (1, len(tensors["weight"]) * 64) if is_float else tensors["column_sum"].shape
    k, n = layer.weight.shape
    head = [k, n, layer.group, groups, padded, len(layer.outlier_columns), len(case.x), activation, int(layer.gated)]
    first, last = layer.prologue == "layer_norm", layer.epilogue == "add_layer_norm"
    arrays = [
        case.x,
        None if is_float else tensors["weight"],
        tensors["weight"] if is_float else None,
        *(tensors.get(name) for name in ARRAYS),
        case.residual,
        layer.norm_gain if first else None,
        layer.norm_gain if last else None,
        layer.norm_bias,
        tensors.get("outlier_columns"),
        tensors.get("outlier_weight"),
    ]
    return neon.encode(head, arrays)


def answers(instruction_set: str, cases: list[Case], folder: Path) -> list[np.ndarray]:
    shapes = [(len(case.x), case.layer.columns) for case in cases]
    return neon.run("run_linear", instruction_set, [describe(case) for case in cases], shapes, folder)


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
def test_layers_are_close_to_the_reference(instruction_set: str, tmp_path: Path) -> None:
    cases = assorted()
    for case, y in zip(cases, answers(instruction_set, cases, tmp_path), strict=True):
        assert_close(case, y)


# The float32 kernels are the same with and without int8 matrices.
@pytest.mark.parametrize("instruction_set", ["neon_dotprod", "plain"])
def test_float32_layers_are_close_to_the_reference(instruction_set: str, tmp_path: Path) -> None:
    cases = [in_float(case) for case in assorted()]
    for case, y in zip(cases, answers(instruction_set, cases, tmp_path), strict=True):
        test_float_linear.assert_close(case, y)


@pytest.mark.parametrize("is_float", [False, True])
@pytest.mark.parametrize("instruction_set", ["neon_dotprod", "neon_i8mm", "plain"])
def test_layers_have_the_bits_that_they_have_on_this_machine(
    instruction_set: str, is_float: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = [in_float(case) for case in assorted()] if is_float else assorted()
    monkeypatch.setenv("ASSAY_KERNELS_ISA", "plain")
    here = test_float_linear.run if is_float else test_linear.run
    for case, y in zip(cases, answers(instruction_set, cases, tmp_path), strict=True):
        np.testing.assert_array_equal(y, here(case))


@pytest.mark.parametrize("is_float", [False, True])
@pytest.mark.parametrize("instruction_set", ["neon_dotprod", "neon_i8mm"])
def test_a_row_has_the_same_bits_alone_and_in_a_batch(instruction_set: str, is_float: bool, tmp_path: Path) -> None:
    whole = make(k=300, n=100, tokens=23, activation="gelu", group=64)
    if is_float:
        whole = in_float(whole)
    alone = [Case(whole.layer, whole.x[i : i + 1], None) for i in range(len(whole.x))]
    batch, *rows = answers(instruction_set, [whole, *alone], tmp_path)
    np.testing.assert_array_equal(np.concatenate(rows).view(np.int32), batch.view(np.int32))
