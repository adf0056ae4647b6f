"""Read and write golden.json: rows with PyTorch's float32 logits, to compare a graph with on another machine.

The export proves parity on the machine that exports. Another processor runs other kernels, so `assay verify` runs these
rows there. They are token ids, so that only the graph is compared. The manifest's hashes cover the file.

The tolerance is that of the variant's gate if the gate is on logits (fp32, fp16). The int8 gates are on probabilities
over many rows. There the tolerance is twice the graph's deviation on these rows on the machine that exported, and at
least INT8_TOLERANCE: other kernels round other activations to the neighbouring integer, but not further.
"""

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from assay.bundle.fields import Fields
from assay.bundle.folder import Bundle
from assay.bundle.manifest import Graph
from assay.errors import BundleError, NumericalError, one_line
from assay.files import read_bounded
from assay.inputs.tokenization import Tokens

__all__ = ["GOLDEN_NAME", "INT8_TOLERANCE", "Golden", "compare", "compute_tolerance", "dump", "read"]

GOLDEN_NAME = "golden.json"
INT8_TOLERANCE = 0.02

_MAX_BYTES = 256 << 20  # it has some hundred kilobytes; this prevents reading all of a wrong file
_MAX_ROWS = 100_000
_RE_EXPORT = "export the bundle again"

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Golden:
    """Rows, their logits from PyTorch, float32 [n, labels], and each graph's max |delta logit| at export."""

    tokens: tuple[Tokens, ...]
    logits: Float32
    exported: dict[str, float]


def dump(golden: Golden) -> bytes:
    """Return the bytes of golden.json, with one row per line."""
    rows = [
        json.dumps(
            {"ids": row.ids.tolist(), "logits": logits.tolist()}
            | ({"type_ids": row.type_ids.tolist()} if row.type_ids.any() else {})
        )
        for row, logits in zip(golden.tokens, golden.logits, strict=True)
    ]
    lines = ",\n".join(rows)
    return f'{{"exported": {json.dumps(golden.exported)},\n"rows": [\n{lines}\n]}}\n'.encode()


def read(bundle: Bundle) -> Golden:
    """Read the golden rows of a bundle. Raises BundleError if it has none, or they do not match its manifest."""
    path = bundle.folder / GOLDEN_NAME
    if GOLDEN_NAME not in bundle.manifest.files:
        raise BundleError(
            f"{bundle.folder}: has no {GOLDEN_NAME}, so it was exported by an older version and its answers cannot be "
            f"compared with PyTorch's here; export it again: assay export SOURCE --out {bundle.folder} --force"
        )
    try:
        document = json.loads(read_bounded(path, _MAX_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{path}: cannot be read ({one_line(error)}); export the bundle again") from error
    fields = Fields.of(document, str(path))
    entries = fields.values.get("rows")
    if not isinstance(entries, list) or not entries:
        raise fields.refuse("rows", "missing or empty", "a list of rows")
    if len(entries) > _MAX_ROWS:
        raise fields.refuse("rows", f"a list of {len(entries):,}", f"at most {_MAX_ROWS:,} rows")
    rows = [Fields.of(entry, f"{path}: row {index}") for index, entry in enumerate(entries)]
    tokens = tuple(_read_tokens(row, bundle.manifest.max_length) for row in rows)
    logits = np.array([row.numbers("logits", len(bundle.manifest.labels)) for row in rows], np.float32)
    exported = fields.mapping("exported")
    return Golden(tokens, logits, {name: exported.number(name) for name in exported.values})


def compute_tolerance(graph: Graph, golden: Golden) -> float:
    """Return the largest |delta logit| allowed for `graph`. Raises BundleError if none is recorded."""
    if isinstance(graph.parity.get("threshold"), int | float):
        threshold = Fields(graph.parity, f"{graph.file}: parity").number("threshold")
        if threshold > 0:
            return threshold
        raise BundleError(f"{graph.file}: its parity threshold is {threshold}, expected one above 0; {_RE_EXPORT}")
    if graph.file not in golden.exported:
        raise BundleError(f"{GOLDEN_NAME}: has no record of {graph.file}; {_RE_EXPORT}")
    return max(INT8_TOLERANCE, 2 * golden.exported[graph.file])


def compare(logits: Float32, golden: Golden, allowed: float, what: str) -> dict[str, Any]:
    """Compare logits with those of PyTorch.

    Args:
        logits: The logits [n, labels] of the golden rows.
        golden: The golden rows.
        allowed: The largest |delta logit| allowed.
        what: The graph and the device, for the error message.

    Returns:
        max_abs_delta, tolerance and rows.

    Raises:
        NumericalError: The deviation is larger than `allowed` or not a number. The message names the worst row.
    """
    delta = np.abs(logits.astype(np.float64) - golden.logits).max(axis=1)
    delta = np.where(np.isnan(delta), math.inf, delta)
    worst = int(delta.argmax())
    if not delta[worst] <= allowed:
        raise NumericalError(
            f"{what}: the logits of golden row {worst} ({len(golden.tokens[worst].ids)} tokens) are "
            f"{_format(logits[worst])}, those of PyTorch are {_format(golden.logits[worst])}, and {allowed:.2g} is "
            "allowed between them, so a kernel is wrong here; do not use this variant on this device, and report it "
            "with the output of assay info",
            row=worst,
        )
    return {"max_abs_delta": float(delta[worst]), "tolerance": allowed, "rows": len(delta)}


def _read_tokens(row: Fields, max_length: int) -> Tokens:
    ids = _read_ids(row, "ids")
    if not 1 <= len(ids) <= max_length:
        raise row.refuse("ids", f"a list of {len(ids)}", f"1 to {max_length:,} token ids")
    type_ids = _read_ids(row, "type_ids") if "type_ids" in row.values else np.zeros_like(ids)
    if len(type_ids) != len(ids):
        raise row.refuse("type_ids", f"a list of {len(type_ids)}", f"a list of {len(ids)}, the number of ids")
    return Tokens(ids, type_ids)


def _read_ids(row: Fields, name: str) -> npt.NDArray[np.int64]:
    values = row.values.get(name)
    if not isinstance(values, list) or not all(type(value) is int and 0 <= value < 1 << 31 for value in values):
        raise row.refuse(name, "missing or not a list of token ids", "a list of token ids")
    return np.array(values, np.int64)


def _format(logits: Float32) -> str:
    return "[" + ", ".join(f"{value:.4f}" for value in logits[:6]) + (", ...]" if len(logits) > 6 else "]")
