"""The attention operators in numpy float64, and the packing of their position tables."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

PANEL = 16


@dataclass
class Positions:
    """Position terms of DeBERTa: tables [heads, rows, d], either absent, and the row of every distance."""

    bucket_rows: np.ndarray  # int32 [2 * farthest + 1]
    keys: np.ndarray | None = None
    queries: np.ndarray | None = None

    def scores(self, x: np.ndarray, table: np.ndarray, distance: np.ndarray) -> np.ndarray:
        """Vectors [n, heads, d] times the rows of their distances [n, m]: [heads, n, m]."""
        farthest = len(self.bucket_rows) // 2
        rows = self.bucket_rows[np.clip(distance, -farthest, farthest) + farthest]
        return np.take_along_axis(np.einsum("nhd,hrd->hnr", x, table, optimize=True), rows[None], axis=2)


@dataclass
class Attention:
    """One layer's attention, whatever the operator. q, k and v are [tokens, heads, d]; first_token: q is [rows, ..]."""

    query: np.ndarray
    key: np.ndarray
    value: np.ndarray
    lengths: list[int]
    positions: Positions | None = None
    frequencies: np.ndarray | None = None
    half_window: int = -1  # keys seen on each side; -1: all
    first_token: bool = False
    arithmetic: str = "float32"

    @property
    def row_starts(self) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(self.lengths)]).astype(np.int64)

    @property
    def tensors(self) -> dict[str, np.ndarray]:
        flat = [part.reshape(len(part), part.shape[1] * part.shape[2]) for part in (self.query, self.key, self.value)]
        if self.first_token:
            return {"query": flat[0], "kv": np.concatenate(flat[1:], axis=1), "row_starts": self.row_starts}
        return {"query": np.concatenate(flat, axis=1), "row_starts": self.row_starts}

    @property
    def initializers(self) -> dict[str, np.ndarray]:
        tensors = {} if self.frequencies is None else {"frequencies": self.frequencies}
        if self.positions is not None:
            tensors["bucket_rows"] = self.positions.bucket_rows
            for name, table in (("position_keys", self.positions.keys), ("position_queries", self.positions.queries)):
                if table is not None:
                    tensors |= packed_table(name, table, self.arithmetic)
        return tensors

    @property
    def attributes(self) -> dict[str, int | str]:
        return {
            "heads": self.key.shape[1],
            "first_token": int(self.first_token),
            "arithmetic": self.arithmetic,
            **({} if self.frequencies is None else {"half_window": self.half_window}),
        }

    def expected(self) -> np.ndarray:
        """In float64, of what the arithmetic's operands stand for: [tokens or rows, heads * d]."""
        outputs = []
        for row, (start, length) in enumerate(zip(self.row_starts, self.lengths, strict=False)):
            tokens = slice(start, start + length)
            queries = slice(row, row + 1) if self.first_token else tokens
            outputs.append(self._row(self.query[queries], self.key[tokens], self.value[tokens]))
        return np.concatenate([np.zeros((0, self.key.shape[1] * self.key.shape[2])), *outputs])

    def _row(self, query: np.ndarray, key: np.ndarray, value: np.ndarray) -> np.ndarray:
        def as_used(x: np.ndarray) -> np.ndarray:
            return rounded_to_int8(x) if self.arithmetic == "int8" else x.astype(np.float64)

        query, key = (as_used(rotated(part, self.frequencies)) for part in (query, key))
        value = as_used(value)
        scores = np.einsum("ihd,jhd->hij", query, key, optimize=True)
        distance = np.arange(len(query))[:, None] - np.arange(len(key))
        if self.positions is not None and self.positions.keys is not None:
            scores += self.positions.scores(query, as_used(self.positions.keys), distance)
        if self.positions is not None and self.positions.queries is not None:
            scores += self.positions.scores(key, as_used(self.positions.queries), distance.T).swapaxes(1, 2)
        if self.half_window >= 0:
            scores = np.where(np.abs(distance) <= self.half_window, scores, -np.inf)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        return np.einsum("hij,jhd->ihd", weights, value, optimize=True).reshape(len(query), -1)


def rounded_to_int8(x: np.ndarray) -> np.ndarray:
    """What int8 with a scale per vector makes of float32 vectors, in float64."""
    largest = np.abs(x).max(axis=-1, keepdims=True)
    inverse = np.float32(127) / np.maximum(largest, np.float32(1e-30))
    return np.rint(x * np.float64(inverse)) * np.float64(largest) / 127


def rotated(x: np.ndarray, frequencies: np.ndarray | None) -> np.ndarray:
    """RoPE in halves of [positions, heads, d], in float32."""
    if frequencies is None:
        return x
    angles = (np.arange(len(x), dtype=np.float32)[:, None] * frequencies).astype(np.float64)
    cos, sin = (part.astype(np.float32)[:, None] for part in (np.cos(angles), np.sin(angles)))
    left, right = np.split(x, 2, axis=-1)
    return np.concatenate([left * cos - right * sin, right * cos + left * sin], axis=-1)


def packed_table(name: str, table: np.ndarray, arithmetic: str) -> dict[str, np.ndarray]:
    """Initializers of a position table [heads, rows, d], filled up to whole panels of 16 rows."""
    table = np.pad(table, [(0, 0), (0, -table.shape[1] % PANEL), (0, 0)])
    heads, rows, d = table.shape
    if arithmetic == "float32":
        return {name: np.ascontiguousarray(table.reshape(heads, rows // PANEL, PANEL, d).swapaxes(2, 3))}
    scale = (np.abs(table).max(axis=-1, keepdims=True) / 127).astype(np.float32)
    integers = np.rint(rounded_to_int8(table) / np.maximum(scale, np.float32(1e-30))).astype(np.int8)
    panels = np.pad(integers, [(0, 0), (0, 0), (0, -d % 4)]).reshape(heads, rows // PANEL, PANEL, -1, 4)
    return {
        name: np.ascontiguousarray(panels.swapaxes(2, 3)),
        f"{name}_scale": scale[..., 0],
        f"{name}_sum": (-128 * integers.sum(axis=-1, dtype=np.int32)).astype(np.int32),
    }


def log_bucket_rows(buckets: int, farthest: int) -> np.ndarray:
    """Like DeBERTa's: distances up to buckets / 2 have their own rows, others share. 0 buckets: all have their own."""
    distance = np.arange(-farthest, farthest + 1)
    if not buckets:
        return np.minimum(distance + farthest, 2 * farthest - 1).astype(np.int32)
    middle = buckets // 2
    away = np.maximum(np.abs(distance), middle)
    far = np.ceil(np.log(away / middle) / np.log((farthest - 1) / middle) * (middle - 1)) + middle
    bucket = np.where(np.abs(distance) <= middle, distance, np.sign(distance) * far).astype(int)
    rows = np.clip(bucket + buckets, 0, 2 * buckets - 1)
    return np.unique(rows, return_inverse=True)[1].astype(np.int32)  # only rows that occur: no step above 1


@dataclass
class Case:
    """Random inputs of given shapes. `sharpness` is about the standard deviation of the scores."""

    lengths: list[int]
    heads: int = 2
    d: int = 16
    sharpness: float = 2.0
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)

    def attention(
        self, buckets: int | None = None, farthest: int = 20, *, keys: bool = False, queries: bool = False
    ) -> Attention:
        random = np.random.default_rng(self.seed)

        def normal(*shape: int) -> np.ndarray:
            return random.standard_normal(shape).astype(np.float32)

        tokens, shape = sum(self.lengths), (self.heads, self.d)
        unit = np.float32(self.sharpness / np.sqrt(self.d))
        positions = None
        if buckets is not None:
            rows = log_bucket_rows(buckets, farthest)
            size = (self.heads, int(rows[-1]) + 1, self.d)
            positions = Positions(rows, normal(*size) if keys else None, normal(*size) * unit if queries else None)
        query = normal(len(self.lengths) if self.options.get("first_token") else tokens, *shape) * unit
        return Attention(query, normal(tokens, *shape), normal(tokens, *shape), self.lengths, positions, **self.options)
