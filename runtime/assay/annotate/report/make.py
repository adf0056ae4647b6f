"""write_report: reads a finished output, counts, and writes the page."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from assay.annotate.columns import Column, Columns
from assay.annotate.job import Job, Plan
from assay.annotate.output.destination import WriteError
from assay.annotate.report.bins import Bins, Example, make_lengths, make_named, make_ranges
from assay.annotate.report.page import MOST_ERRORS, Report, render
from assay.annotate.report.rows import read_output
from assay.bundle.manifest import Manifest
from assay.errors import InputError
from assay.files import write_whole
from assay.inputs.files.fields import look_up
from assay.inputs.files.quoting import Quoting
from assay.models.columns import ERROR

__all__ = ["write_report"]

_RANGES = 10
_NO_LABEL = "no label"

Rows = Callable[[], Iterator[tuple[str, dict[str, Any]]]]


def write_report(path: str, job: Job, plan: Plan, manifest: Manifest) -> None:
    """Write the report about the finished output of `job` to the file `path`.

    Raises:
        InputError: The output changed since it was written.
        WriteError: The report cannot be written.
    """
    written = plan.formats[1]
    # A TSV is written as it was read; every other table quotes its cells.
    quoting: Quoting = (plan.quoting or "none") if plan.formats[0].kind == written.kind == "tsv" else "minimal"

    def rows() -> Iterator[tuple[str, dict[str, Any]]]:
        return read_output(job.target, written, quoting, plan.columns.all, plan.fields)

    page = render(_collect(rows, job, plan, manifest)).encode("utf-8", "backslashreplace")
    try:
        with write_whole(Path(path)) as file:
            file.write(page)
    except OSError as error:
        raise WriteError(f"{path}: cannot be written ({error}); {job.target} is complete") from error


def _collect(rows: Rows, job: Job, plan: Plan, manifest: Manifest) -> Report:
    columns = plan.columns
    sections = {column.name: _make_section(column, columns, manifest, rows) for column in columns.answers}
    lengths = make_lengths("Lengths of the texts, in characters")
    errors: list[tuple[str, str]] = []
    count = failed = 0
    for where, row in rows():
        count += 1
        texts = _find_texts(row, plan.fields)
        if texts:
            lengths.add_number(sum(len(text) for _, text in texts), None)
        if row.get(ERROR) is not None and columns.errors:
            failed += 1
            if len(errors) < MOST_ERRORS:
                errors.append((where, str(row[ERROR])))
            continue
        answers = tuple((column.name, _show(row.get(column.name))) for column in columns.answers)
        example = Example(where, texts, answers)
        for name, section in sections.items():
            if section is not None:
                _count(section, row.get(name), example)
    facts = [
        ("Input", job.source),
        ("Bundle", f"{manifest.name}, {manifest.architecture}, {manifest.task}"),
        ("Rows", f"{count:,}"),
        ("Rows without an answer", f"{failed:,}"),
        ("Fields", ", ".join(plan.fields)),
        *([("Scale", f"{columns.scale[0]:g} to {columns.scale[1]:g}")] if columns.scale is not None else []),
        *([("Shard", str(plan.shard))] if plan.shard.count > 1 else []),
    ]
    shown = [section for section in sections.values() if section is not None]
    return Report(job.target, facts, shown, lengths, errors, failed)


def _make_section(column: Column, columns: Columns, manifest: Manifest, rows: Rows) -> Bins | None:
    """Return the bins of a column, or None for the scores of every label, which have no one distribution."""
    if column.kind == "scores":
        return None
    if column.kind in ("text", "texts"):
        return make_named(column.name, manifest.labels)
    if column.kind == "integer":
        scale = manifest.scale
        low, high = (scale.evol_complexity if scale is not None else None) or (0, 0)
        return make_named(column.name, [str(number) for number in range(low, high + 1)])
    return make_ranges(column.name, *_find_range(column.name, columns, manifest, rows), _RANGES)


def _find_range(name: str, columns: Columns, manifest: Manifest, rows: Rows) -> tuple[float, float]:
    """Return the range of a score: the one that it must be in, or else that of the rows, for which they are read."""
    if columns.scale is not None:
        return float(columns.scale[0]), float(columns.scale[1])
    if manifest.task == "classification" or manifest.activation == "sigmoid":
        return 0.0, 1.0
    low, high = math.inf, -math.inf
    for _, row in rows():
        value = row.get(name)
        if isinstance(value, int | float):
            low, high = min(low, value), max(high, value)
    return (low, high) if low <= high else (0.0, 1.0)


def _count(section: Bins, value: object, example: Example) -> None:
    if value is None:
        return
    if isinstance(value, list):
        for label in value or [_NO_LABEL]:
            section.add_name(str(label), example)
    elif isinstance(value, str):
        section.add_name(value, example)
    elif isinstance(value, int | float):
        if section.is_ranges:
            section.add_number(value, example)
        else:
            section.add_name(str(int(value)), example)


def _find_texts(row: Mapping[str, Any], fields: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the texts of a row by field; a row without an answer may lack some."""
    texts = []
    for field in fields:
        try:
            value = look_up(dict(row), field, "")
        except InputError:
            continue
        if isinstance(value, str):
            texts.append((field, value))
    return tuple(texts)


def _show(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_show(number)}" for name, number in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)
