"""How far a run came, and with which options: a small JSON file in the output's folder, replaced as a whole."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from assay.annotate.windows import State
from assay.errors import InputError, one_line
from assay.files import read_bounded

__all__ = ["Journal", "list_changes", "read_journal"]

SCHEMA = 2

MAX_BYTES = 16 << 20
"""A journal has some kilobytes; this prevents reading all of a wrong file."""

_ROWS_STATE = {"rows", "position"}
_LINES_STATE = {*_ROWS_STATE, "lines", "bytes", "sha256"}
_NOTHING = hashlib.sha256().hexdigest()


@dataclass(slots=True)
class Journal:
    """What a run is, and how much of it is safely on disk.

    Attributes:
        identity: The options and versions that the output depends on.
        replace: Whether the run may replace an output that existed before it.
        rows: The rows that were written.
        failed: How many of them have no answer.
        tokens: The tokens that the model read.
        source: Where the input stands after these rows.
        length: The bytes of the partial output that count, or of the finished file once it is complete.
        sha256: The SHA-256 of these bytes.
        stage: "assembled" once the finished file is complete, under its hidden name or its own.
    """

    identity: dict[str, Any]
    replace: bool
    rows: int = 0
    failed: int = 0
    tokens: int = 0
    source: State | None = None
    length: int = 0
    sha256: str = _NOTHING
    stage: Literal["annotating", "assembled"] = "annotating"

    def count(self, rows: int, failed: int, tokens: int, source: State | None) -> None:
        """Add the rows of a window, after which the input stands at `source`."""
        self.rows += rows
        self.failed += failed
        self.tokens += tokens
        self.source = source or self.source

    def write(self, path: Path) -> None:
        """Replace the file at `path` atomically: a reader finds the old one or the new one."""
        fresh = path.with_name(path.name + ".new")
        with fresh.open("w", encoding="utf-8") as file:
            json.dump({"schema": SCHEMA} | asdict(self), file)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)


def read_journal(path: Path) -> Journal | None:
    """Return the journal at `path`, or None where there is no such file.

    Raises:
        InputError: The file is not a journal.
    """
    try:
        document = json.loads(read_bounded(path, MAX_BYTES))
        if document.pop("schema") != SCHEMA:
            raise ValueError("it was written by another version of assay")
        journal = Journal(**document)
        _check_values(journal)
        return journal
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path}: is not a journal of assay annotate ({one_line(error)}); start over with --force"
        ) from None


def _check_values(journal: Journal) -> None:
    state = journal.source
    numbers: list[object] = [journal.rows, journal.failed, journal.tokens, journal.length]
    is_right = (
        isinstance(journal.identity, dict)
        and isinstance(journal.replace, bool)
        and isinstance(journal.sha256, str)
        and journal.stage in ("annotating", "assembled")
    )
    if is_right and isinstance(state, dict):
        is_right = set(state) in (_ROWS_STATE, _LINES_STATE) and isinstance(state.get("sha256", ""), str)
        numbers += [value for name, value in state.items() if name != "sha256"]
    elif state is not None:
        is_right = False
    if not is_right or not all(type(number) is int and 0 <= number < 1 << 63 for number in numbers):
        raise ValueError("a value of the wrong type")


def list_changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return what differs, in words: "scale was null, is [0, 100]"."""
    names = [*before, *(name for name in now if name not in before)]
    return [
        f"{name} was {json.dumps(before.get(name))}, is {json.dumps(now.get(name))}"
        for name in names
        if before.get(name) != now.get(name)
    ]
