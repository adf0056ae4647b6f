"""Calibration rows: the user's file, or general English text that was written for this repository."""

from importlib.resources import as_file, files
from pathlib import Path
from typing import Literal

from assay.inputs.files import read_rows
from assay_export.errors import ExportError

# The int8 gate allows half a per cent of flips, one in 200 rows: on fewer held-out rows it could not tell one flip.
FEWEST_ROWS = 300

BUILT_IN = {"pair": "calibration_pairs.jsonl", "text": "calibration_instructions.jsonl"}


def calibration_rows(kind: Literal["pair", "text"], path: Path | None) -> list[tuple[str, ...]]:
    """Rows of one or two texts: those of the file at `path`, or the built-in ones.

    Raises:
        InputError: a line of the file is not a row of this kind.
        ExportError: the file has too few rows to hold a gate on.
    """
    if path is None:
        with as_file(files(__package__) / BUILT_IN[kind]) as built_in:
            rows = read_rows(built_in, kind)
    else:
        rows = read_rows(path, kind)
        if len(rows) < FEWEST_ROWS:
            raise ExportError(
                f"{path} has {len(rows)} rows, expected at least {FEWEST_ROWS}: a third of them fits int8, and the "
                "gate on the rest could not tell one label flip in two hundred with fewer"
            )
    return [(row,) if isinstance(row, str) else tuple(row) for row in rows]
