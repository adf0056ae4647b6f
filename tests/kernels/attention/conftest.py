"""Attention through ONNX Runtime, and how close it must come."""

from __future__ import annotations

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


def run(case: Attention, *, threads: int = 1, **changes: np.ndarray | None) -> np.ndarray:
    """Run with other tensors, by name; None leaves one out."""
    return run_changed(case, changes, threads)


def run_changed(case: Attention, changes: Mapping[str, np.ndarray | None], threads: int = 1) -> np.ndarray:
    """As `run`, for names that are not known before the test runs."""
    operator = "DisentangledAttention" if case.frequencies is None else "RotaryAttention"
    tensors = {name: changes.get(name, array) for name, array in case.tensors.items()}
    tensors |= {"kv": changes["kv"]} if "kv" in changes else {}
    fed = {name: array for name, array in tensors.items() if array is not None}
    constant = {name: changes.get(name, array) for name, array in case.initializers.items()}
    session = session_of(
        operator,
        INPUTS[operator],
        {name: array for name, array in constant.items() if array is not None},
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
