"""How far an interrupted run came, and what it was: a small JSON file beside the output, replaced as a whole."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from assay.annotate.windows import State
from assay.errors import InputError

__all__ = ["Journal", "changes", "read_journal", "sync_folder"]

SCHEMA = 1


@dataclass(slots=True)
class Journal:
    """What a run is (`identity`) and what of it is safely on disk.

    `rows` written of which `failed`; `source` is where the input stands behind them, `length` the bytes of the partial
    output. `stage` "assembled": the finished file is complete under its hidden name, or has its own already.
    `replace` says that the run may replace an output that was there before it.
    """

    identity: dict[str, Any]
    replace: bool
    rows: int = 0
    failed: int = 0
    tokens: int = 0
    source: State | None = None
    length: int = 0
    stage: Literal["annotating", "assembled"] = "annotating"

    def write(self, path: Path) -> None:
        """Replace the file at `path`. Whoever reads it finds the old one or the new one."""
        fresh = path.with_name(path.name + ".new")
        with fresh.open("w", encoding="utf-8") as file:
            json.dump({"schema": SCHEMA} | asdict(self), file)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)


def read_journal(path: Path) -> Journal | None:
    """The journal at `path`, None where there is none. Raises InputError where it is not one."""
    try:
        document = json.loads(path.read_bytes())
        if document.pop("schema") != SCHEMA:
            raise ValueError("of another version of assay")
        journal = Journal(**document)
        if not isinstance(journal.identity, dict) or not all(
            isinstance(number, int) for number in (journal.rows, journal.failed, journal.tokens, journal.length)
        ):
            raise ValueError("a value of the wrong type")
        return journal
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path}: is no journal of assay annotate ({error}); start over with --force") from None


def changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What differs, in words: "scale was null, is [0, 100]"."""
    names = [*before, *(name for name in now if name not in before)]
    return [
        f"{name} was {json.dumps(before.get(name))}, is {json.dumps(now.get(name))}"
        for name in names
        if before.get(name) != now.get(name)
    ]


def sync_folder(folder: Path) -> None:
    """Make renamings in `folder` outlive a loss of power, where the system can."""
    if os.name != "nt":  # Windows opens no folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
