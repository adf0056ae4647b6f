"""Calibration rows: the user's file, or the general English text in this folder, written for this repository."""

from importlib.resources import as_file, files
from pathlib import Path
from typing import Literal

from assay.inputs.files import read_rows
from assay_export.errors import ExportError

__all__ = ["FEWEST_ROWS", "read_calibration"]

#: The int8 gate allows one label flip in 200 held-out rows. With fewer rows it could not measure that.
FEWEST_ROWS = 300

_BUILT_IN = {"pair": "calibration_pairs.jsonl", "text": "calibration_instructions.jsonl"}


def read_calibration(kind: Literal["pair", "text"], path: Path | None = None) -> list[tuple[str, ...]]:
    """Read rows of one or two texts from the file at `path`, or the built-in ones.

    Raises:
        InputError: The file cannot be read, or a line is not a row of this kind.
        ExportError: The file has too few rows for a gate.
    """
    if path is None:
        with as_file(files(__package__) / _BUILT_IN[kind]) as built_in:
            rows = read_rows(built_in, kind)
    else:
        rows = read_rows(path, kind)
        if len(rows) < FEWEST_ROWS:
            raise ExportError(
                f"{path} has {len(rows)} {'row' if len(rows) == 1 else 'rows'}, expected at least {FEWEST_ROWS}: a "
                "third of them fits int8, and with fewer the gate could not measure one label flip in 200 on the rest"
            )
    return [(row,) if isinstance(row, str) else tuple(row) for row in rows]
