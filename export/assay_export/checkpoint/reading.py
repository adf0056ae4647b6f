"""Read the files of a checkpoint: JSON, and what libraries raise over files that are damaged or no files of theirs."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from assay.errors import AssayError
from assay.files import read_bounded
from assay_export.errors import CheckpointError

__all__ = ["read_json", "refuse_bad_files", "refuse_pointer"]

_MAX_JSON = 64 << 20  # bytes of a config; it has some kilobytes, this prevents reading all of a wrong file
_LFS_POINTER = b"version https://git-lfs.github.com/"


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file of a checkpoint.

    Raises:
        CheckpointError: The file is missing, unreadable, or contains something else.
    """
    try:
        data = read_bounded(path, _MAX_JSON)
        refuse_pointer(path, data)
        value = json.loads(data.decode("utf-8"))  # as transformers reads it: bytes may have a mark or be UTF-16
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing: a checkpoint needs it") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} contains a JSON {type(value).__name__}, expected an object")
    return value


def refuse_pointer(path: Path, start: bytes) -> None:
    """Refuse a file whose first bytes are those of a pointer of Git LFS, as a clone without git-lfs has them."""
    if start.startswith(_LFS_POINTER):
        raise CheckpointError(
            f"{path}: is a pointer of Git LFS, expected the file that it stands for; run git lfs pull in the clone"
        )


@contextlib.contextmanager
def refuse_bad_files(place: Path) -> Iterator[None]:
    """Turn what torch, transformers, tokenizers, peft and safetensors raise over bad files into a CheckpointError."""
    try:
        yield
    except AssayError:
        raise
    except BaseException as error:  # they raise every kind: AssertionError, ZeroDivisionError, exceptions of their own
        # A panic of Rust, such as a regular expression of tokenizer.json that backtracks too long, is no Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{place} cannot be loaded: {type(error).__name__}: {reason[:300]}") from error
