"""Rows for the tests of assay annotate, and how they are written in each format."""

import csv
import gzip
import io
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

WORDS = ["what", "causes", "rain", "forms", "when", "water", "is", "a", "b", "c", "d", "e", "f", "g"]


def pairs(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Return rows with an id and a pair of texts; some texts contain quotes, delimiters and line ends."""
    chosen = random.Random(seed)

    def text() -> str:
        words = chosen.choices([*WORDS, '"', ",", "\n", "\t", "é"], k=chosen.randint(0, 6))
        return " ".join(words)

    return [{"id": number, "text": text(), "text_pair": text()} for number in range(count)]


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Write `rows` to `path` in the format of its name."""
    kind = next(suffix for suffix in path.suffixes if suffix in (".jsonl", ".csv", ".tsv", ".parquet"))
    if kind == ".parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path, row_group_size=97)
        return path
    if kind == ".jsonl":
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    else:
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, list(rows[0]), delimiter="," if kind == ".csv" else "\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        text = buffer.getvalue()
    path.write_bytes(pack(text.encode(), path.suffix))
    return path


def pack(data: bytes, suffix: str) -> bytes:
    """Return `data` compressed as `suffix` says."""
    if suffix == ".gz":
        return gzip.compress(data)
    if suffix == ".zst":
        import zstandard

        return bytes(zstandard.ZstdCompressor().compress(data))
    return data


def unpack(path: Path) -> bytes:
    """Return the content of a file, as common readers decompress it."""
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    if path.suffix == ".zst":
        import zstandard

        return bytes(zstandard.ZstdDecompressor().decompress(path.read_bytes(), max_output_size=1 << 30))
    return path.read_bytes()


def read(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file; the cells of a table are strings."""
    if path.suffix == ".parquet":
        import pyarrow.parquet

        rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
        return rows
    text = unpack(path).decode()
    if ".jsonl" in path.suffixes:
        return [json.loads(line) for line in text.split("\n")[:-1]]
    delimiter = "," if ".csv" in path.suffixes else "\t"
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))


def hidden(folder: Path) -> list[str]:
    """Return the hidden files that a run left in the folder of its output."""
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def require(name: str) -> None:
    """Skip the test where the package for the format of `name` is missing."""
    if "parquet" in name:
        pytest.importorskip("pyarrow")
    if "zst" in name:
        pytest.importorskip("zstandard")
