"""Linear layers to test with: of any shape, with every option, and with rows that are hard to quantise."""

import dataclasses
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from tests.kernels.reference import ACTIVATIONS, FloatLayer, Layer

ACTIVATION_NAMES = [*ACTIVATIONS, *(f"geglu_{name}" for name in ACTIVATIONS)]
KINDS_OF_ROWS = ["plain", "zeros", "constant", "one large", "tiny", "huge", "largest", "subnormal", "nan", "infinity"]


@dataclass
class Case:
    layer: Layer
    x: np.ndarray  # [tokens, K]
    residual: np.ndarray | None

    @property
    def feed(self) -> dict[str, np.ndarray]:
        return {"x": self.x} | ({} if self.residual is None else {"residual": self.residual})


def make(
    *,
    k: int,
    n: int,
    tokens: int,
    seed: int = 0,
    activation: str = "none",
    group: int = 0,
    prologue: str = "none",
    epilogue: str = "none",
    bias: bool = True,
    norm_bias: bool = True,
    outliers: int = 0,
    extremes: bool = False,
    kinds: tuple[str, ...] = (),
) -> Case:
    """`extremes`: weights and activations of the largest absolute value only. `kinds`: of the first rows."""
    random = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return random.standard_normal(shape).astype(np.float32)

    weight = random.choice([-127, 127], (k, n)) if extremes else random.integers(-127, 128, (k, n))
    layer = Layer(
        weight.astype(np.int8),
        # Sums of about the same size, whatever K is.
        (random.random(n) + 0.5).astype(np.float32) / np.float32(127 * np.sqrt(k)),
        bias=normal(n) if bias else None,
        group=group,
        prologue=prologue,
        activation=activation,
        epilogue=epilogue,
    )
    normed = k if prologue == "layer_norm" else layer.columns
    if prologue == "layer_norm" or epilogue == "add_layer_norm":
        layer.norm_gain = normal(normed)
        layer.norm_bias = normal(normed) if norm_bias else None
    if outliers:
        layer.outlier_columns = random.choice(k, min(outliers, k), replace=False).astype(np.int32)
        layer.outlier_weight = normal(len(layer.outlier_columns), n)
    x = random.choice(np.array([-1, 1], np.float32), (tokens, k)) if extremes else normal(tokens, k)
    for row, kind in zip(x, kinds, strict=False):
        _make_hard(row, kind, random)
    residual = normal(tokens, layer.columns) if epilogue != "none" else None
    return Case(layer, x, residual)


def in_float(case: Case) -> Case:
    """The same layer with its weights in float32."""
    layer = case.layer
    weight = layer.weight.astype(np.float32) * layer.weight_scale
    changed = dataclasses.asdict(layer) | {"weight": weight, "group": 0, "outlier_columns": np.zeros(0, np.int32)}
    return Case(FloatLayer(**changed | {"outlier_weight": None}), case.x, case.residual)


def _make_hard(row: np.ndarray, kind: str, random: np.random.Generator) -> None:
    one = random.integers(len(row))
    match kind:
        case "zeros":
            row[:] = 0
        case "constant":
            row[:] = 3
        case "one large":
            row[one] = 1e4
        case "tiny":
            row *= np.float32(1e-30)
        case "huge":
            row *= np.float32(1e8)
        case "largest":
            row *= np.float32(1e30)
        case "subnormal":
            row *= np.float32(1e-42)
        case "nan":
            row[one] = np.nan
        case "infinity":
            row[one] = random.choice([np.inf, -np.inf])


@st.composite
def cases(draw: st.DrawFn) -> Case:
    prologue = draw(st.sampled_from(["none", "layer_norm"]))
    activation = draw(st.sampled_from(ACTIVATION_NAMES))
    epilogue = draw(st.sampled_from(["none", "add"] if prologue == "layer_norm" else ["none", "add", "add_layer_norm"]))
    # A layer norm squares: what overflows there comes out as 0, in ONNX Runtime's own too.
    normed = prologue == "layer_norm" or epilogue == "add_layer_norm"
    kinds = [kind for kind in KINDS_OF_ROWS if not (normed and kind == "largest")]
    n = draw(st.integers(1, 200))
    return make(
        k=draw(st.integers(1, 400)),
        n=2 * n if activation.startswith("geglu_") else n,
        tokens=draw(st.integers(0, 70)),
        seed=draw(st.integers(0, 10**6)),
        activation=activation,
        group=draw(st.sampled_from([0, 64, 128, 256])),
        prologue=prologue,
        epilogue=epilogue,
        bias=draw(st.booleans()),
        norm_bias=draw(st.booleans()),
        outliers=draw(st.sampled_from([0, 0, 1, 3, 20])),
        extremes=draw(st.booleans()),
        kinds=tuple(draw(st.lists(st.sampled_from(kinds), max_size=6))),
    )


def rounding_after_norm(case: Case, rows: np.ndarray) -> np.ndarray:
    """How far the rounding of large terms that cancel can move the results of a layer norm at the end, [rows, N]."""
    layer = dataclasses.replace(case.layer, epilogue="add", norm_gain=None, norm_bias=None)
    assert case.residual is not None
    assert case.layer.norm_gain is not None
    before = layer(case.x[rows], case.residual[rows]).astype(np.float64)
    size = np.abs(case.x[rows]).max(1, initial=1, keepdims=True).astype(np.float64) ** (2 if layer.gated else 1)
    deviation = np.sqrt(before.var(1, keepdims=True) + layer.epsilon)
    return 1e-6 * size / deviation * np.abs(case.layer.norm_gain)


def assert_close(case: Case, y: np.ndarray) -> None:
    """Equal to the reference up to float32 rounding; with a layer norm before the quantisation, up to some values that
    were rounded to the neighbouring integer."""
    expected = case.layer(case.x, case.residual)
    assert y.shape == expected.shape
    assert y.dtype == np.float32
    bad = ~np.isfinite(expected)
    # Overflow of finite numbers may come as an infinity or, once that was worked with, as no number.
    assert not np.isfinite(y[bad]).any()
    spoiled = ~np.isfinite(case.x).all(1)
    assert np.isnan(y[spoiled]).all()
    rows = ~bad.any(1)
    y, expected = y[rows].astype(np.float64), expected[rows].astype(np.float64)
    if case.layer.prologue == "layer_norm":
        allowed = 0.05 * (1 + np.abs(expected))
    elif case.layer.epilogue == "add_layer_norm":
        allowed = 1e-3 + rounding_after_norm(case, rows)
    else:
        size = np.abs(case.x[rows]).max(1, initial=1, keepdims=True).astype(np.float64)
        if case.layer.gated:
            size **= 2  # the rounding of each half is multiplied by the other
        allowed = 3e-5 * (size + np.abs(expected))
    np.testing.assert_array_less(np.abs(y - expected), allowed)
