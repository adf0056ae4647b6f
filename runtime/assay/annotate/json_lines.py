"""JSON lines in and out. A line keeps its own bytes: the new members are put in before its closing brace.

So numbers stay as they were written (1.0, 1e400, integers of any length), and so do escapes, spaces and the order of
the fields. What json.loads takes is taken, NaN included; a key that an object has twice is refused, since whoever reads
it sees one of the two.
"""

import functools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from assay.annotate.columns import Answers, Columns
from assay.annotate.lines import Lines, decoded
from assay.annotate.paths import located, texts_of
from assay.annotate.shards import Shard
from assay.annotate.windows import State, Window, WindowBuilder
from assay.errors import AssayError, InputError
from assay.inputs.validation import Kind, describe, first_twice

__all__ = ["JsonLine", "JsonSource", "dumped", "encode_lines", "members"]

_SPACE = " \t\r\n"


@dataclass(frozen=True, slots=True)
class JsonLine:
    """A line as it stands, without its end. `spliced` says that it is an object that takes the new columns."""

    text: str
    end: str
    spliced: bool


class JsonSource:
    """An input of one object per line."""

    def __init__(self, lines: Lines, fields: Sequence[str], kind: Kind, columns: Columns, shard: Shard) -> None:
        self._lines = lines
        self._fields = fields
        self._kind: Kind = kind
        self._columns = columns
        self._shard = shard
        self._builder = WindowBuilder(strict=not columns.errors)
        self.total = lines.total

    def identity(self) -> dict[str, Any]:
        return {}

    def windows(self, state: State | None) -> Iterator[Window]:
        lines, builder = self._lines, self._builder
        if state is not None:
            lines.skip_to(state)
        row = int(state["rows"]) if state is not None else 0
        while (line := lines.next()) is not None:
            mine = self._shard.has(row)
            row += 1
            if mine:
                self._add(line, f"{lines.name}, line {lines.number}", lines.number == 1)
                if not builder.room:
                    yield builder.take(lines.state(row), lines.position)
        if builder.rows:
            yield builder.take(lines.state(row), lines.position)

    def close(self) -> None:
        self._lines.close()

    def _add(self, line: bytes, where: str, first: bool) -> None:
        text, end = _split(line.decode("utf-8-sig" if first else "utf-8", "backslashreplace"))
        document: dict[str, Any] | None = None
        try:
            decoded(line, where, first)
            document = _object(text, where)
            taken = self._columns.taken(document)
            if taken is not None:
                document = None  # an object with the same key twice would be the result
                raise InputError(
                    f"{located(where, taken)}: is there already, expected no column of this name; rename it"
                )
            self._builder.add(where, texts_of(document, self._fields, self._kind, where))
        except AssayError as error:
            self._builder.add(where, error)
        self._builder.keep(JsonLine(text, end, document is not None), len(line))


def encode_lines(payload: Sequence[JsonLine], answers: Answers, columns: Columns) -> bytes:
    """The lines with their answers. One that takes no columns becomes an object of "line", its text, and these."""
    out = []
    for line, values in zip(payload, answers, strict=True):
        new = members(columns, values)
        if line.spliced:
            body = line.text.rstrip(_SPACE)[:-1].rstrip(_SPACE)
            comma = "" if body.endswith("{") else ", "
            out.append(f"{body}{comma}{dumped(new)[1:-1]}{line.text[len(body) :]}{line.end}")
        else:
            out.append(dumped({"line": line.text, **new}) + line.end)
    return "".join(out).encode("utf-8")


def members(columns: Columns, values: Sequence[object]) -> dict[str, object]:
    """A row's new columns by name."""
    return {column.name: value for column, value in zip(columns.all, values, strict=True)}


def dumped(value: object, default: Callable[[object], object] | None = None) -> str:
    """`value` as JSON on one line. Raises ValueError and TypeError for what JSON has not."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=default)


def _split(line: str) -> tuple[str, str]:
    """A line's text and end; the last line of a file gets the end that it may lack."""
    if line.endswith("\r\n"):
        return line[:-2], "\r\n"
    return (line[:-1] if line.endswith("\n") else line), "\n"


def _object(text: str, where: str) -> dict[str, Any]:
    try:
        value = _parse(text, where)
    except AssayError:
        raise
    except (ValueError, RecursionError) as error:
        found = "an empty line" if not text.strip(_SPACE) else f"no JSON ({error})"
        raise InputError(f"{where}: found {found}, expected a JSON object") from None
    if not isinstance(value, dict):
        raise InputError(f"{where}: found {describe(value)}, expected a JSON object")
    return value


def _parse(text: str, where: str) -> Any:
    hook = functools.partial(_once, where)
    try:
        return json.loads(text, object_pairs_hook=hook)
    except json.JSONDecodeError:
        raise
    except AssayError:
        raise
    except ValueError:
        # Python refuses integers of more than 4,300 digits. The line keeps its text; that it is a number is enough.
        return json.loads(text, object_pairs_hook=hook, parse_int=float)


def _once(where: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        twice = first_twice(name for name, _ in pairs)
        raise InputError(f"{located(where, str(twice))}: is there twice in one object, expected each field once")
    return document
