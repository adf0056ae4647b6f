"""Lines of JSON: one object per line.

Whatever json.loads takes is taken, NaN included, except that a key which an object has twice is refused: a program
that reads such an object sees only one of the two values.
"""

import functools
import json
from dataclasses import dataclass
from typing import Any

from assay.errors import AssayError, InputError
from assay.inputs.files.fields import locate
from assay.inputs.files.lines import decode_line
from assay.inputs.validation import describe, first_twice

__all__ = ["SPACE", "JsonLine", "parse_line"]

SPACE = " \t\r\n"
"""The characters that JSON allows around a value."""


@dataclass(frozen=True, slots=True)
class JsonLine:
    """A line: its `text` without its `end`, and the object in it, or why there is none.

    In a line that is not UTF-8 the wrong bytes are written as escapes. A last line without an end gets one.
    """

    text: str
    end: str
    document: dict[str, Any] | InputError


def parse_line(line: bytes, where: str, first: bool) -> JsonLine:
    """Parse `line` with its end; `first` says that it is the first of its file, which may start with a mark."""
    text, end = _split_end(line.decode("utf-8-sig" if first else "utf-8", "backslashreplace"))
    try:
        decode_line(line, where, first)
        return JsonLine(text, end, _parse_object(text, where))
    except InputError as error:
        return JsonLine(text, end, error)


def _split_end(line: str) -> tuple[str, str]:
    if line.endswith("\r\n"):
        return line[:-2], "\r\n"
    return (line[:-1] if line.endswith("\n") else line), "\n"


def _parse_object(text: str, where: str) -> dict[str, Any]:
    try:
        value = _parse(text, where)
    except AssayError:
        raise
    except (ValueError, RecursionError) as error:
        found = "an empty line" if not text.strip(SPACE) else f"invalid JSON ({error})"
        raise InputError(f"{where}: found {found}, expected a JSON object") from None
    if not isinstance(value, dict):
        raise InputError(f"{where}: found {describe(value)}, expected a JSON object")
    return value


def _parse(text: str, where: str) -> Any:
    hook = functools.partial(_refuse_twice, where)
    try:
        return json.loads(text, object_pairs_hook=hook)
    except (json.JSONDecodeError, AssayError):
        raise
    except ValueError:
        # Python refuses integers of more than 4,300 digits. Their digits stay in the line's text; a float will do here.
        return json.loads(text, object_pairs_hook=hook, parse_int=float)


def _refuse_twice(where: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        twice = first_twice(name for name, _ in pairs)
        raise InputError(f"{locate(where, str(twice))}: is there twice in one object, expected each field once")
    return document
