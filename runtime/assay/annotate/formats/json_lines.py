"""JSON lines in and out. A line keeps its own bytes: the new members are inserted before its closing brace.

So numbers stay as they were written (1.0, 1e400, integers of any length), and so do escapes, spaces and the order of
the fields.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from assay.annotate.columns import Answers, Columns
from assay.annotate.formats.lines import ResumableLines
from assay.annotate.shards import Shard
from assay.annotate.windows import State, Window, WindowBuilder
from assay.errors import InputError
from assay.inputs.files.fields import locate, read_texts
from assay.inputs.files.json_lines import SPACE, JsonLine, parse_line
from assay.inputs.validation import Kind

__all__ = ["JsonSource", "LineToWrite", "dump", "encode_lines", "name_values"]


@dataclass(frozen=True, slots=True)
class LineToWrite:
    """A line without its end, its `end`, and whether it `is_object`, one that takes the new columns."""

    text: str
    end: str
    is_object: bool


class JsonSource:
    """An input of one object per line."""

    def __init__(
        self, lines: ResumableLines, fields: Sequence[str], kind: Kind, columns: Columns, shard: Shard
    ) -> None:
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
                self._add(line, lines.where, lines.number == 1)
            if builder.rows and (not builder.room or not lines.ready):
                yield builder.take(lines.state(row), lines.position)
        if builder.rows:
            yield builder.take(lines.state(row), lines.position)

    def close(self) -> None:
        self._lines.close()

    def _add(self, line: bytes, where: str, first: bool) -> None:
        parsed = parse_line(line, where, first)
        is_object = False
        try:
            document = self._check_columns(parsed, where)
            is_object = True
            self._builder.add(where, read_texts(document, self._fields, self._kind, where))
        except InputError as error:
            self._builder.add(where, error)
        self._builder.keep(LineToWrite(parsed.text, parsed.end, is_object), len(line))

    def _check_columns(self, line: JsonLine, where: str) -> dict[str, Any]:
        """Return the object of `line`. A key that it has already would be in the result twice."""
        if isinstance(line.document, InputError):
            raise line.document
        present = self._columns.find_present(line.document)
        if present is not None:
            raise InputError(f"{locate(where, present)}: is there already, expected no column of this name; rename it")
        return line.document


def encode_lines(payload: Sequence[LineToWrite], answers: Answers, columns: Columns) -> bytes:
    """Return the lines with their answers. One that is no object becomes an object with its text as "line"."""
    out = []
    for line, values in zip(payload, answers, strict=True):
        new = name_values(columns, values)
        if line.is_object:
            body = line.text.rstrip(SPACE)[:-1].rstrip(SPACE)
            comma = "" if body.endswith("{") else ", "
            out.append(f"{body}{comma}{dump(new)[1:-1]}{line.text[len(body) :]}{line.end}")
        else:
            out.append(dump({"line": line.text, **new}) + line.end)
    return "".join(out).encode("utf-8")


def name_values(columns: Columns, values: Sequence[object]) -> dict[str, object]:
    """Return the new columns of a row by name."""
    return {column.name: value for column, value in zip(columns.all, values, strict=True)}


def dump(value: object, default: Callable[[object], object] | None = None) -> str:
    """Return `value` as JSON on one line. Raises ValueError and TypeError for what JSON cannot express."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=default)
