"""Read and write golden.json: rows with PyTorch's float32 logits, to compare a graph with on another machine.

The export proves parity on the machine that exports. Another processor runs other kernels, so `assay verify` runs these
rows there. Graphs are compared on token ids, so that only the graph is compared. The texts of the rows are stored too:
the installed tokenizers library must turn them into the same ids. The manifest's hashes cover the file.

The tolerance is that of the graph's gate if the gate is on logits (fp32, fp16): the manifest's `threshold`, which is
larger where PyTorch's own rounding error is. The int8 gates are on probabilities
over many rows. There the tolerance is twice the graph's deviation on these rows on the machine that exported, and at
least INT8_TOLERANCE: other kernels round other activations to the neighbouring integer, but not further.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from assay.bundle.fields import Fields
from assay.bundle.folder import Bundle
from assay.bundle.manifest import Graph
from assay.errors import BundleError, NumericalError, one_line
from assay.files import read_bounded
from assay.inputs.tokenization import BundleTokenizer, Tokens
from assay.inputs.validation import Row

__all__ = [
    "GOLDEN_NAME",
    "INT8_TOLERANCE",
    "Golden",
    "GoldenText",
    "check_tokens",
    "compare",
    "compare_tokens",
    "compute_tolerance",
    "dump",
    "read",
]

GOLDEN_NAME = "golden.json"
INT8_TOLERANCE = 0.02

_MAX_BYTES = 256 << 20  # it has some hundred kilobytes; this prevents reading all of a wrong file
_MAX_ROWS = 100_000
_RE_EXPORT = "export the bundle again"

Float32 = npt.NDArray[np.float32]


class GoldenText(NamedTuple):
    """The text or pair of a row, and the number of tokens that it was truncated to."""

    row: Row
    max_length: int


@dataclass(frozen=True, slots=True)
class Golden:
    """Rows and what the export knows of them.

    Attributes:
        tokens: The rows.
        logits: PyTorch's, float32 [n, labels].
        exported: Each graph's max |delta logit| at export.
        texts: The text of each row; empty if the export did not record them.
    """

    tokens: tuple[Tokens, ...]
    logits: Float32
    exported: dict[str, float]
    texts: tuple[GoldenText, ...] = ()


def dump(golden: Golden) -> bytes:
    """Return the bytes of golden.json, with one text and one row per line. Rows of one text name it by its index."""
    texts = list(dict.fromkeys(text.row for text in golden.texts))
    named = [{"text": texts.index(text.row), "max_length": text.max_length} for text in golden.texts]
    rows = [
        name
        | {"ids": row.ids.tolist(), "logits": logits.tolist()}
        | ({"type_ids": row.type_ids.tolist()} if row.type_ids.any() else {})
        for row, logits, name in zip(golden.tokens, golden.logits, named or [{}] * len(golden.tokens), strict=True)
    ]
    return (
        f'{{"exported": {json.dumps(golden.exported)},\n"texts": {_dump_lines(texts)},\n"rows": {_dump_lines(rows)}}}\n'
    ).encode()


def read(bundle: Bundle) -> Golden:
    """Read the golden rows of a bundle. Raises BundleError if it has none, or they do not match its manifest."""
    fields, rows = _read_rows(bundle)
    tokens = tuple(_read_tokens(row, bundle.manifest.max_length) for row in rows)
    logits = np.array([row.numbers("logits", len(bundle.manifest.labels)) for row in rows], np.float32)
    exported = fields.mapping("exported")
    return Golden(
        tokens, logits, {name: exported.number(name) for name in exported.values}, _read_texts(fields, rows, bundle)
    )


def check_tokens(bundle: Bundle, tokenizer: BundleTokenizer) -> int:
    """Compare the tokens of the golden rows as `compare_tokens` does, reading their texts and ids only."""
    fields, rows = _read_rows(bundle)
    texts = _read_texts(fields, rows, bundle)
    if not texts:
        return 0
    tokens = tuple(_read_tokens(row, bundle.manifest.max_length) for row in rows)
    return compare_tokens(tokenizer, tokens, texts, str(bundle.folder))


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


def compare_tokens(tokenizer: BundleTokenizer, tokens: Sequence[Tokens], texts: Sequence[GoldenText], what: str) -> int:
    """Encode the texts of the golden rows and compare the ids with those of the export.

    Args:
        tokenizer: The tokenizer of the bundle, opened with the installed tokenizers library.
        tokens: The rows at export.
        texts: Their texts.
        what: The bundle, for the error message.

    Returns:
        How many rows were compared.

    Raises:
        BundleError: The tokens of a row differ. The message shows the first difference.
    """
    has_type_ids = any(row.type_ids.any() for row in tokens)  # stored only if a graph reads them
    found_rows: list[Tokens] = []
    for row, same in groupby(texts, lambda text: text.row):  # a long text is tokenized once for all its lengths
        found_rows += tokenizer.encode_to(row, [text.max_length for text in same])
    for index, (found, expected) in enumerate(zip(found_rows, tokens, strict=True)):
        same_types = not has_type_ids or np.array_equal(found.type_ids, expected.type_ids)
        if same_types and np.array_equal(found.ids, expected.ids):
            continue
        raise BundleError(
            f"{what}: tokenizer.json encodes golden row {index} ({texts[index].row!r:.100}) otherwise than at export: "
            f"{_describe_difference(tokenizer, found, expected)}; the tokenizer was exchanged, or the installed "
            "tokenizers library differs: install the version that assay info names, or export the bundle again"
        )
    return len(texts)


def _describe_difference(tokenizer: BundleTokenizer, found: Tokens, expected: Tokens) -> str:
    shared = min(len(found.ids), len(expected.ids))
    different = np.flatnonzero(found.ids[:shared] != expected.ids[:shared])
    if not len(different) and len(found.ids) == len(expected.ids):
        return "the numbers of the texts (type_ids) differ"
    position = int(different[0]) if len(different) else shared
    names = [
        f"{tokenizer.name_token(int(row.ids[position]))} (id {row.ids[position]})"
        if position < len(row.ids)
        else "none"
        for row in (found, expected)
    ]
    return f"token {position} is {names[0]}, expected {names[1]}"


def _dump_lines(values: Sequence[Any]) -> str:
    return "[\n" + ",\n".join(json.dumps(value, ensure_ascii=False) for value in values) + "\n]"


def _read_rows(bundle: Bundle) -> tuple[Fields, list[Fields]]:
    """Read golden.json as one object, and its rows."""
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
    return fields, [Fields.of(entry, f"{path}: row {index}") for index, entry in enumerate(entries)]


def _read_texts(fields: Fields, rows: Sequence[Fields], bundle: Bundle) -> tuple[GoldenText, ...]:
    """Read the texts of the rows. All rows have one, or none has."""
    if not any("text" in row.values for row in rows):
        return ()
    values = fields.values.get("texts")
    is_pair = bundle.manifest.input == "pair"
    expected = "a list of pairs of strings" if is_pair else "a list of strings"
    if not isinstance(values, list):
        raise fields.refuse("texts", "missing or not a list", expected)
    texts: list[Row] = []
    for value in values:
        parts = value if is_pair and isinstance(value, list) and len(value) == 2 else [value]
        if len(parts) != 1 + is_pair or not all(isinstance(part, str) for part in parts):
            raise fields.refuse("texts", f"a list with {value!r:.80}", expected)
        texts.append((parts[0], parts[1]) if is_pair else parts[0])
    numbers = [(row.integer("text", least=0), row.integer("max_length", least=1), row) for row in rows]
    for number, _, row in numbers:
        if number >= len(texts):
            raise row.refuse("text", str(number), f"the index of one of {len(texts)} texts")
    return tuple(GoldenText(texts[number], max_length) for number, max_length, _ in numbers)


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
