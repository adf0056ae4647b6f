"""The operator Linear in a session of ONNX Runtime, on each instruction set of the machine, against numpy."""

from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.cases import ACTIVATION_NAMES, KINDS_OF_ROWS, Case, assert_close, cases, make
from tests.kernels.effort import SANITIZED, per_instruction_set
from tests.kernels.graphs import session_of

INPUTS = [
    "x", "weight", "weight_scale", "column_sum", "bias", "residual", "norm_gain", "norm_bias", "outlier_columns",
    "outlier_weight",
]  # fmt: skip

pytestmark = pytest.mark.usefixtures("instruction_set")


def session(case: Case, threads: int = 1, **changed: Any) -> onnxruntime.InferenceSession:
    """`changed` are initializers or attributes that take the place of the case's own; None removes one."""
    tensors: dict[str, Any] = dict(case.layer.initializers)
    attributes: dict[str, Any] = dict(case.layer.attributes)
    for name, value in changed.items():
        into = attributes if name in attributes else tensors
        into.pop(name, None)
        if value is not None:
            into[name] = value
    return session_of("Linear", INPUTS, tensors, attributes, fed=dict.fromkeys(case.feed, np.float32), threads=threads)


def run(case: Case, threads: int = 1, **changed: Any) -> np.ndarray:
    return session(case, threads, **changed).run(None, case.feed)[0]


@per_instruction_set
@given(case=cases())
def test_any_layer_is_close_to_the_reference(case: Case) -> None:
    assert_close(case, run(case))


@pytest.mark.parametrize("activation", ACTIVATION_NAMES)
def test_every_activation(activation: str) -> None:
    assert_close(case := make(k=96, n=192, tokens=9, activation=activation), run(case))


@pytest.mark.parametrize("kind", KINDS_OF_ROWS)
@pytest.mark.parametrize("group", [0, 64])
@pytest.mark.parametrize("outliers", [0, 5])
def test_every_kind_of_row(kind: str, group: int, outliers: int) -> None:
    assert_close(case := make(k=200, n=70, tokens=3, group=group, outliers=outliers, kinds=(kind,)), run(case))


def test_several_blocks_of_rows_with_a_layer_norm_behind() -> None:
    case = make(k=200 if SANITIZED else 1000, n=200, tokens=300, epilogue="add_layer_norm", group=64, outliers=4)
    assert_close(case, run(case, threads=2))


def test_the_largest_sums_are_exact() -> None:
    """Every product is 127 * 127: the sums of 65,536 of them fill 30 bits."""
    tokens = 2 if SANITIZED else 7
    case = make(k=65536, n=3, tokens=tokens, bias=False)
    case.layer.weight[:] = 127
    case.x[:] = 1
    case.layer.weight_scale[:] = 1
    expected = np.float32(127 * 127 * 65536) * np.float32(1 / 127)
    np.testing.assert_array_equal(run(case), np.full((tokens, 3), expected))


@per_instruction_set
@given(case=cases(), seed=st.integers(0, 1000))
def test_a_row_has_the_same_bits_alone_in_any_batch_and_order(case: Case, seed: int) -> None:
    whole = run(case)
    some = np.random.default_rng(seed).permutation(len(case.x))[: seed % 8]
    one_session = session(case)
    for rows in (some, some[:1]):
        part = one_session.run(None, {name: array[rows] for name, array in case.feed.items()})[0]
        np.testing.assert_array_equal(part.view(np.int32), whole[rows].view(np.int32))


@pytest.mark.parametrize("tokens", [1, 64, 300])
@pytest.mark.parametrize(("activation", "epilogue"), [("geglu_gelu", "none"), ("gelu", "add_layer_norm")])
def test_threads_do_not_change_a_bit(tokens: int, activation: str, epilogue: str) -> None:
    case = make(k=128 if SANITIZED else 256, n=384, tokens=tokens, activation=activation, epilogue=epilogue)
    np.testing.assert_array_equal(run(case, threads=1).view(np.int32), run(case, threads=4).view(np.int32))


def test_no_tokens_give_an_empty_result() -> None:
    assert run(make(k=64, n=40, tokens=0, epilogue="add_layer_norm")).shape == (0, 40)


@pytest.mark.parametrize("group", [0, 64])
@pytest.mark.parametrize("activation", ["none", "geglu_gelu"])
def test_one_column_in_and_out(activation: str, group: int) -> None:
    n = 2 if activation.startswith("geglu_") else 1
    assert_close(case := make(k=1, n=n, tokens=3, activation=activation, group=group), run(case))


@pytest.mark.parametrize("activation", ACTIVATION_NAMES)
def test_an_overflow_comes_out_as_no_number_whatever_the_activation(activation: str) -> None:
    case = make(k=100, n=64, tokens=3, activation=activation, bias=False)
    case.x *= np.float32(1e30)
    case.layer.weight_scale *= np.float32(1e12)
    assert np.isnan(run(case)).all()


@pytest.mark.parametrize("name", ["norm_gain", "norm_bias"])
def test_no_number_in_a_norm_before_the_products_spoils_every_row(name: str) -> None:
    case = make(k=100, n=64, tokens=3, prologue="layer_norm", activation="relu")
    getattr(case.layer, name)[70] = np.nan
    assert np.isnan(run(case)).all()


@pytest.mark.parametrize("name", ["weight_scale", "bias", "norm_gain", "norm_bias"])
def test_no_number_in_a_parameter_comes_out(name: str) -> None:
    case = make(k=100, n=64, tokens=3, activation="gelu", epilogue="add_layer_norm")
    getattr(case.layer, name)[20] = np.nan
    assert np.isnan(run(case)[:, 20]).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_residual_that_is_not_finite_spoils_its_row(value: float) -> None:
    case = make(k=100, n=64, tokens=3, epilogue="add_layer_norm")
    assert case.residual is not None
    case.residual[1, 7] = value
    assert np.isnan(run(case)).all(axis=1).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("message", "changed"),
    [
        ("weight has shape", {"weight": np.zeros((2, 16, 64, 4), np.int8)}),
        ("weight has shape", {"weight": np.zeros((2, 25, 64), np.int8)}),
        ("weight_scale has shape", {"weight_scale": np.zeros(99, np.float32)}),
        ("column_sum has shape", {"column_sum": np.zeros((1, 100), np.int32)}),
        ("column_sum has shape", {"group": 64}),
        ("bias has shape", {"bias": np.zeros(1, np.float32)}),
        ("norm_gain without a layer norm", {"norm_gain": np.zeros(100, np.float32)}),
        ("norm_gain is missing", {"prologue": "layer_norm"}),
        ("norm_bias without norm_gain", {"norm_bias": np.zeros(100, np.float32)}),
        ("residual is missing", {"epilogue": "add"}),
        ("outlier_weight is missing", {"outlier_columns": np.array([1], np.int32)}),
        (
            "outlier_columns has 100",
            {"outlier_columns": np.array([100], np.int32), "outlier_weight": np.zeros((1, 128), np.float32)},
        ),
        (
            "outlier_columns has -1",
            {"outlier_columns": np.array([-1], np.int32), "outlier_weight": np.zeros((1, 128), np.float32)},
        ),
        (
            "outlier_columns has 7 twice",
            {"outlier_columns": np.array([7, 7], np.int32), "outlier_weight": np.zeros((2, 128), np.float32)},
        ),
        (
            "outlier_weight has shape",
            {"outlier_columns": np.array([1], np.int32), "outlier_weight": np.zeros((1, 100), np.float32)},
        ),
        ("x has shape", {"K": 101}),
        ("weight has shape", {"N": 200}),
    ],
)
def test_what_does_not_fit_is_an_error(message: str, changed: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=message):
        run(make(k=100, n=100, tokens=3), **changed)


@pytest.mark.parametrize(
    ("message", "changed"),
    [
        ("K is 0", {"K": 0}),
        ("K is 65537", {"K": 65537}),
        ("N is -3", {"N": -3}),
        ("N is odd", {"N": 99, "activation": "geglu_silu"}),
        ("group is 32", {"group": 32}),
        ('activation is "swish"', {"activation": "swish"}),
        ('prologue is "norm"', {"prologue": "norm"}),
        ('epilogue is "mul"', {"epilogue": "mul"}),
        ("layer norm on either side", {"prologue": "layer_norm", "epilogue": "add_layer_norm"}),
        ("epsilon", {"epsilon": None}),
    ],
)
def test_a_wrong_attribute_is_an_error_when_the_session_is_made(message: str, changed: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=message):
        session(make(k=100, n=100, tokens=3), **changed)


def test_a_wrong_type_is_an_error() -> None:
    with pytest.raises(Exception, match="weight"):
        session(make(k=100, n=100, tokens=3), weight=np.zeros((2, 32, 64, 4), np.int32))


@pytest.mark.parametrize("shape", [(3, 99), (300,), (1, 3, 100)])
def test_activations_of_another_shape_are_an_error(shape: tuple[int, ...]) -> None:
    case = make(k=100, n=100, tokens=3)
    with pytest.raises(Exception, match="x has shape"):
        session(case).run(None, {"x": np.zeros(shape, np.float32)})


@pytest.mark.parametrize("shape", [(2, 100), (3, 99)])
def test_a_residual_of_another_shape_is_an_error(shape: tuple[int, ...]) -> None:
    case = make(k=100, n=100, tokens=3, epilogue="add")
    with pytest.raises(Exception, match="residual has shape"):
        session(case).run(None, {"x": case.x, "residual": np.zeros(shape, np.float32)})
