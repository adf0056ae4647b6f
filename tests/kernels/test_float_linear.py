"""The operators FloatLinear and LayerNorm, on each instruction set of the machine, against numpy."""

from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.cases import ACTIVATION_NAMES, Case, cases, in_float, make, rounding_after_norm
from tests.kernels.effort import per_instruction_set
from tests.kernels.graphs import session_of

pytestmark = pytest.mark.usefixtures("instruction_set")

INPUTS = ["x", "weight", "bias", "residual", "norm_gain", "norm_bias"]


def session(case: Case, threads: int = 1, **changed: Any) -> onnxruntime.InferenceSession:
    """`changed` are initializers or attributes that take the place of the case's own; None removes one."""
    tensors: dict[str, Any] = dict(case.layer.initializers)
    attributes: dict[str, Any] = dict(case.layer.attributes)
    for name, value in changed.items():
        into = attributes if name in attributes else tensors
        into.pop(name, None)
        if value is not None:
            into[name] = value
    fed = dict.fromkeys(case.feed, np.float32)
    return session_of("FloatLinear", INPUTS, tensors, attributes, fed=fed, threads=threads)


def run(case: Case, threads: int = 1, **changed: Any) -> np.ndarray:
    return session(case, threads, **changed).run(None, case.feed)[0]


def assert_close(case: Case, y: np.ndarray) -> None:
    expected = case.layer(case.x, case.residual)
    assert y.shape == expected.shape
    spoilt = ~np.isfinite(case.x).all(1)
    assert np.isnan(y[spoilt]).all()
    # Overflow may come as an infinity or as no number.
    bad = ~np.isfinite(expected).all(1)
    assert not np.isfinite(y[bad & ~spoilt]).all(1).any()
    bad |= spoilt
    y, expected = y[~bad].astype(np.float64), expected[~bad].astype(np.float64)
    if case.layer.epilogue == "add_layer_norm":
        allowed = 2e-3 + rounding_after_norm(case, ~bad)
    elif case.layer.prologue == "layer_norm":
        allowed = 1e-3 * (1 + np.abs(expected))
    else:
        size = np.abs(case.x[~bad]).max(1, initial=1, keepdims=True).astype(np.float64)
        # Where large terms cancel, their rounding remains, and a gate multiplies it.
        allowed = 1e-4 * (size ** (2 if case.layer.gated else 1) + np.abs(expected))
    np.testing.assert_array_less(np.abs(y - expected), allowed)


@per_instruction_set
@given(case=cases().map(in_float))
def test_any_layer_is_close_to_the_reference(case: Case) -> None:
    assert_close(case, run(case))


@pytest.mark.parametrize("activation", ACTIVATION_NAMES)
def test_every_activation(activation: str) -> None:
    assert_close(case := in_float(make(k=96, n=192, tokens=9, activation=activation)), run(case))


@pytest.mark.parametrize("activation", ACTIVATION_NAMES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_comes_out_as_no_number_whatever_the_activation(activation: str, value: float) -> None:
    case = in_float(make(k=3, n=64, tokens=2, activation=activation))
    case.x[1, 2] = value
    assert np.isnan(run(case)).all(axis=1).tolist() == [False, True]


@pytest.mark.parametrize("activation", ["none", "geglu_gelu"])
def test_one_column_in_and_out(activation: str) -> None:
    n = 2 if activation.startswith("geglu_") else 1
    assert_close(case := in_float(make(k=1, n=n, tokens=3, activation=activation)), run(case))


@per_instruction_set
@given(case=cases().map(in_float), seed=st.integers(0, 1000))
def test_a_row_has_the_same_bits_alone_in_any_batch_and_order(case: Case, seed: int) -> None:
    whole = run(case)
    some = np.random.default_rng(seed).permutation(len(case.x))[: seed % 8]
    one_session = session(case)
    for rows in (some, some[:1]):
        part = one_session.run(None, {name: array[rows] for name, array in case.feed.items()})[0]
        np.testing.assert_array_equal(part.view(np.int32), whole[rows].view(np.int32))


@pytest.mark.parametrize("tokens", [1, 64, 300])
def test_threads_do_not_change_a_bit(tokens: int) -> None:
    case = in_float(make(k=256, n=384, tokens=tokens, activation="gelu", epilogue="add_layer_norm"))
    np.testing.assert_array_equal(run(case, threads=1).view(np.int32), run(case, threads=4).view(np.int32))


@pytest.mark.parametrize(
    ("message", "changed"),
    [
        ("weight has shape", {"weight": np.zeros((2, 99, 64), np.float32)}),
        ("weight has shape", {"weight": np.zeros((1, 100, 64), np.float32)}),
        ("bias has shape", {"bias": np.zeros(1, np.float32)}),
        ("norm_gain is missing", {"prologue": "layer_norm"}),
        ("residual is missing", {"epilogue": "add"}),
        ("x has shape", {"K": 101}),
        ('activation is "swish"', {"activation": "swish"}),
    ],
)
def test_what_does_not_fit_is_an_error(message: str, changed: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=message):
        run(in_float(make(k=100, n=100, tokens=3)), **changed)


def layer_norm(x: np.ndarray, gain: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    given = {"gain": gain} | ({} if bias is None else {"bias": bias})
    one_session = session_of("LayerNorm", ["x", "gain", "bias"], given, {"epsilon": 1e-5}, fed={"x": np.float32})
    return one_session.run(None, {"x": x})[0]


@per_instruction_set
@given(rows=st.integers(0, 50), n=st.integers(1, 300), biased=st.booleans(), seed=st.integers(0, 1000))
def test_layer_norm(rows: int, n: int, biased: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    x, gain, bias = (random.standard_normal(shape).astype(np.float32) for shape in ((rows, n), n, n))
    y = layer_norm(x, gain, bias if biased else None)
    wide = x.astype(np.float64)
    expected = (wide - wide.mean(1, keepdims=True)) / np.sqrt(wide.var(1, keepdims=True) + 1e-5) * gain
    np.testing.assert_allclose(y, expected + bias if biased else expected, rtol=1e-4, atol=1e-4)
    for row in range(min(rows, 3)):
        alone = layer_norm(x[row : row + 1], gain, bias if biased else None)
        np.testing.assert_array_equal(alone.view(np.int32), y[row : row + 1].view(np.int32))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_layer_norm_of_what_is_no_number_is_none(value: float) -> None:
    x = np.ones((2, 40), np.float32)
    x[1, 7] = value
    y = layer_norm(x, np.ones(40, np.float32), None)
    assert np.isfinite(y[0]).all()
    assert np.isnan(y[1]).all()


@pytest.mark.parametrize("value", [1e20, 3e38])
def test_layer_norm_whose_squares_overflow_is_no_number(value: float) -> None:
    x = np.zeros((2, 40), np.float32)
    x[1, ::2] = value
    y = layer_norm(x, np.ones(40, np.float32), np.ones(40, np.float32))
    assert np.isfinite(y[0]).all()
    assert np.isnan(y[1]).all()


def test_layer_norm_of_no_columns_is_empty() -> None:
    assert layer_norm(np.ones((3, 0), np.float32), np.ones(0, np.float32), None).shape == (3, 0)


@pytest.mark.parametrize("shape", [(40,), (2, 3, 40), (2, 41)])
def test_layer_norm_of_another_shape_is_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(Exception, match="has shape"):
        layer_norm(np.ones(shape, np.float32), np.ones(40, np.float32), None)
