"""Attention through ONNX Runtime, and how close it must come."""

from collections.abc import Mapping

import numpy as np

from tests.kernels.attention.attention_reference import Attention
from tests.kernels.graphs import session_of

INPUTS = {
    "DisentangledAttention": [
        "query",
        "row_starts",
        "kv",
        "bucket_rows",
        "position_keys",
        "position_keys_scale",
        "position_keys_sum",
        "position_queries",
        "position_queries_scale",
        "position_queries_sum",
    ],
    "RotaryAttention": ["query", "row_starts", "frequencies", "kv"],
}


def run(case: Attention, changes: Mapping[str, np.ndarray | None] | None = None, *, threads: int = 1) -> np.ndarray:
    """`changes` are tensors that replace the case's own; None leaves one out."""
    changes = changes or {}
    operator = "DisentangledAttention" if case.frequencies is None else "RotaryAttention"
    tensors = case.tensors | {"kv": changes["kv"]} if "kv" in changes else case.tensors
    fed = {name: array for name in tensors if (array := changes.get(name, tensors[name])) is not None}
    initializers = case.initializers
    constant = {name: array for name in initializers if (array := changes.get(name, initializers[name])) is not None}
    session = session_of(
        operator,
        INPUTS[operator],
        constant,
        case.attributes,
        fed={name: array.dtype.type for name, array in fed.items()},
        threads=threads,
    )
    return session.run(None, fed)[0]


def assert_close(case: Attention, y: np.ndarray) -> None:
    expected = case.expected()
    assert y.shape == expected.shape
    error = np.abs(y - expected)
    if case.arithmetic == "float32":
        assert error.max(initial=0) < 1e-4
        return
    # The reference rounds q and k as the kernels do, except where a float32 rounding lets a number fall on the other
    # side of a half: then a few scores differ by a step of int8.
    assert error.max(initial=0) < 0.3
    if error.size:
        assert np.quantile(error, 0.98) < 2e-3
