"""The built-in calibration text of the export, as texts and as token ids."""

from importlib.resources import as_file, files
from pathlib import Path

from assay.bundle.manifest import Manifest
from assay.inputs.files import read_rows
from assay.inputs.tokenization import BundleTokenizer
from assay.inputs.validation import Kind, Row
from benchmarks.timing import Ids

__all__ = ["choose_rows", "read_calibration", "tokenise_calibration"]

FILES: dict[Kind, str] = {"pair": "calibration_pairs.jsonl", "text": "calibration_instructions.jsonl"}


def read_calibration(kind: Kind) -> list[Row]:
    """Read the general English that int8 is calibrated on: rows of one text, or pairs."""
    with as_file(files("assay_export.texts") / FILES[kind]) as path:
        return list(read_rows(path, kind))


def tokenise_calibration(bundle: Path, manifest: Manifest) -> list[Ids]:
    """Tokenise the calibration rows for a bundle: token ids [1, sequence], special tokens included."""
    data = (bundle / "tokenizer.json").read_bytes()
    tokenizer = BundleTokenizer(data, manifest.input, manifest.max_length, manifest.truncation)
    return [tokens.ids[None] for tokens in tokenizer.encode(read_calibration(manifest.input), True, 0)]


def choose_rows(rows: list[Ids], count: int, tokens: int) -> list[Ids]:
    """Choose `count` of the rows, spread over all of them, and cut each to `tokens` tokens."""
    return [row[:, :tokens] for row in rows[:: len(rows) // count][:count]]
