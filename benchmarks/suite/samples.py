"""Keeps every sample on disk as soon as it is taken.

samples.jsonl has one JSON object a line, so a run that is killed loses its last line at most. The folder of a run also
has plan.json (what is measured, which must be the same to resume), rows.json (the texts), reference.json (PyTorch's
answers), and at the end results.json, report.md, report.html and plots/.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchmarkError

__all__ = [
    "PLAN",
    "REFERENCE",
    "RESULTS",
    "ROWS",
    "SAMPLES",
    "Samples",
    "begin",
    "read_json",
    "refuse_taken",
    "write_json",
]

PLAN, ROWS, REFERENCE, SAMPLES, RESULTS = "plan.json", "rows.json", "reference.json", "samples.jsonl", "results.json"


def write_json(path: Path, value: object) -> None:
    """Write a JSON file, whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)


def read_json(path: Path) -> Any:
    """Read the JSON value in `path`.

    Raises:
        BenchmarkError: There is no such file, or it is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BenchmarkError(f"{path}: cannot be read ({error}); name the folder of a benchmark run") from error


class Samples:
    """samples.jsonl, open for appending."""

    def __init__(self, path: Path) -> None:
        """Open the file and cut off the incomplete line that a kill can leave."""
        self.records: list[dict[str, Any]] = []
        whole = 0
        if path.exists():
            for line in path.read_bytes().splitlines(keepends=True):
                if not line.endswith(b"\n"):
                    break
                self.records.append(json.loads(line))
                whole += len(line)
            os.truncate(path, whole)
        self._file = path.open("a", encoding="utf-8")

    def add(self, kind: str, **values: object) -> None:
        """Append a record of this kind."""
        record = {"kind": kind, **values}
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        self.records.append(record)

    def of(self, kind: str, **values: object) -> Iterator[dict[str, Any]]:
        """Return the records of this kind with these values."""
        return (
            record
            for record in self.records
            if record["kind"] == kind and all(record.get(key) == value for key, value in values.items())
        )

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def refuse_taken(folder: Path, resume: bool) -> None:
    """Refuse a folder for results before anything is prepared.

    Raises:
        BenchmarkError: The folder has other files in it, or a run that is not to be resumed.
    """
    if (folder / PLAN).exists():
        if not resume:
            raise BenchmarkError(
                f"{folder} already has a run in it: continue it with --resume, or name another folder with --out"
            )
    elif folder.exists() and any(folder.iterdir()):
        raise BenchmarkError(f"{folder} has files in it that are not a benchmark run: name another folder with --out")


def begin(folder: Path, plan: Mapping[str, Any], resume: bool) -> Samples:
    """Open the folder of a run: a new one, or with `resume` that of an interrupted run with the same plan.

    Raises:
        BenchmarkError: The folder is taken (see `refuse_taken`), or the plans differ.
    """
    refuse_taken(folder, resume)
    path = folder / PLAN
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_json(path, plan)
    else:
        before = read_json(path)
        differing = sorted(key for key in {*before, *plan} if before.get(key) != plan.get(key))
        if differing:
            key = differing[0]
            raise BenchmarkError(
                f"{folder} cannot be resumed: its {key} was {before.get(key)!r} and is now {plan.get(key)!r}; "
                "use the options of that run, or name another folder with --out"
            )
    return Samples(folder / SAMPLES)
