"""Linear and FloatLinear in numpy: packing, quantisation, exact integer sums, epilogues."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.special import erf

PANEL = 64


def _pad(array: np.ndarray, axis: int, multiple: int) -> np.ndarray:
    extra = -array.shape[axis] % multiple
    return np.pad(array, [(0, extra if i == axis else 0) for i in range(array.ndim)])


def interleave(matrix: np.ndarray) -> np.ndarray:
    """[rows, N] with a GeGLU's two halves side by side -> [rows, N_padded], by turns 32 columns of each."""
    halves = [_pad(half, 1, 32) for half in np.split(matrix, 2, axis=1)]
    blocks = [half.reshape(half.shape[0], -1, 1, 32) for half in halves]
    return np.concatenate(blocks, axis=2).reshape(matrix.shape[0], -1)


def pack(weight: np.ndarray) -> np.ndarray:
    """int8 [K, N] -> [N_padded / 64, K_padded / 4, 64, 4]."""
    padded = _pad(_pad(weight, 0, 64), 1, PANEL)
    k, n = padded.shape
    return np.ascontiguousarray(padded.reshape(k // 4, 4, n // PANEL, PANEL).transpose(2, 0, 3, 1))


@dataclass
class Layer:
    """A linear layer with int8 weights [K, N], not packed."""

    weight: np.ndarray
    weight_scale: np.ndarray
    bias: np.ndarray | None = None
    group: int = 0
    prologue: str = "none"
    activation: str = "none"
    epilogue: str = "none"
    epsilon: float = 1e-5
    norm_gain: np.ndarray | None = None
    norm_bias: np.ndarray | None = None
    outlier_columns: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    outlier_weight: np.ndarray | None = None  # float32 [c, N]

    @property
    def gated(self) -> bool:
        return self.activation.startswith("geglu_")

    @property
    def columns(self) -> int:
        return self.weight.shape[1] // (2 if self.gated else 1)

    @property
    def attributes(self) -> dict[str, int | float | str]:
        k, n = self.weight.shape
        return {
            "K": k, "N": n, "group": self.group, "prologue": self.prologue, "activation": self.activation,
            "epilogue": self.epilogue, "epsilon": self.epsilon,
        }  # fmt: skip

    @property
    def initializers(self) -> dict[str, np.ndarray]:
        ordered = interleave(self.weight) if self.gated else _pad(self.weight, 1, PANEL)
        padded = _pad(ordered, 0, 64)
        sums = [padded[rows].sum(0, dtype=np.int32) for rows in self._groups()]
        tensors = {"weight": pack(ordered), "weight_scale": self.weight_scale, "column_sum": np.stack(sums)}
        for name in ("bias", "norm_gain", "norm_bias"):
            if getattr(self, name) is not None:
                tensors[name] = getattr(self, name)
        if len(self.outlier_columns):
            assert self.outlier_weight is not None
            tensors["outlier_columns"] = self.outlier_columns
            tensors["outlier_weight"] = (
                interleave(self.outlier_weight) if self.gated else _pad(self.outlier_weight, 1, PANEL)
            )
        return tensors

    def _groups(self) -> list[slice]:
        padded = -(-self.weight.shape[0] // 64) * 64
        group = self.group or padded
        return [slice(start, min(start + group, padded)) for start in range(0, padded, group)]

    def __call__(self, x: np.ndarray, residual: np.ndarray | None = None) -> np.ndarray:
        with np.errstate(all="ignore"):
            return self._run(x.astype(np.float32), residual)

    def _run(self, x: np.ndarray, residual: np.ndarray | None) -> np.ndarray:
        if self.prologue == "layer_norm":
            x = self._norm(x)
        y = self._products(x)
        if self.bias is not None:
            y = y + self.bias
        y = self._activate(y)
        if residual is not None:
            y = y + residual
        if self.epilogue == "add_layer_norm":
            y = self._norm(y)
        return y.astype(np.float32)

    def _products(self, x: np.ndarray) -> np.ndarray:
        finite = np.isfinite(x).all(1)
        inner = np.where(finite[:, None], x, 0)
        inner[:, self.outlier_columns] = 0
        y = np.zeros((len(x), self.weight.shape[1]), np.float64)
        for columns in self._groups():
            part, weight = inner[:, columns], self.weight[columns].astype(np.int64)
            if not part.shape[1]:
                continue
            most = np.abs(part).max(1, keepdims=True)
            zero = most < 1e-36
            scale = np.where(zero, 0, most / np.float32(127))
            q = np.rint(part * np.where(zero, 0, np.float32(127) / most)).astype(np.int64)
            y += (q @ weight) * scale.astype(np.float64)
        y *= self.weight_scale
        if len(self.outlier_columns):
            assert self.outlier_weight is not None
            y += x[:, self.outlier_columns].astype(np.float64) @ self.outlier_weight
        y[~finite] = np.nan
        return y

    def _activate(self, y: np.ndarray) -> np.ndarray:
        gate = None
        if self.gated:
            y, gate = np.split(y, 2, axis=1)
        y = ACTIVATIONS[self.activation.removeprefix("geglu_")](y)
        return y if gate is None else y * gate

    def _norm(self, x: np.ndarray) -> np.ndarray:
        assert self.norm_gain is not None
        x = x.astype(np.float64)
        y = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + self.epsilon) * self.norm_gain
        return (y if self.norm_bias is None else y + self.norm_bias).astype(np.float32)


@dataclass
class FloatLayer(Layer):
    """The same with float32 weights [K, N] and nothing quantised."""

    @property
    def attributes(self) -> dict[str, int | float | str]:
        return {name: value for name, value in super().attributes.items() if name != "group"}

    @property
    def initializers(self) -> dict[str, np.ndarray]:
        ordered = interleave(self.weight) if self.gated else _pad(self.weight, 1, PANEL)
        panels = ordered.reshape(len(ordered), -1, PANEL).transpose(1, 0, 2)
        given = {name: getattr(self, name) for name in ("bias", "norm_gain", "norm_bias")}
        return {"weight": np.ascontiguousarray(panels)} | {k: v for k, v in given.items() if v is not None}

    def _products(self, x: np.ndarray) -> np.ndarray:
        return x.astype(np.float64) @ self.weight.astype(np.float64)


ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda y: y,
    "relu": lambda y: np.where(np.isnan(y), y, np.maximum(y, 0)),
    "gelu": lambda y: y * 0.5 * (1 + erf(y / np.sqrt(2))),
    "gelu_tanh": lambda y: y * 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (y + 0.044715 * y**3))),
    "silu": lambda y: y / (1 + np.exp(-y)),
    "tanh": np.tanh,
}
