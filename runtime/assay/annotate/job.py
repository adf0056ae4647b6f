"""The options of a run. They are checked before anything is read, and a run that resumes must have the same."""

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from assay.annotate.columns import Columns, choose_columns
from assay.annotate.formats.names import check_conversion
from assay.annotate.shards import WHOLE, Shard, parse_shard
from assay.bundle.manifest import Manifest
from assay.errors import InputError
from assay.inputs.files.names import STANDARD, Format
from assay.inputs.files.quoting import Quoting, check_quoting, choose_quoting
from assay.inputs.files.rows import FIELDS
from assay.inputs.files.tables import DELIMITERS
from assay.inputs.validation import check_flag, describe
from assay.models.base import Model
from assay.models.thresholds import Threshold, check_threshold
from assay.ort.installation import onnxruntime

__all__ = ["Job", "Plan", "check", "check_path", "identify"]


@dataclass(frozen=True, slots=True)
class Job:
    """The options of annotate_file, which describes them."""

    source: str
    target: str
    fields: Sequence[str] | None = None
    columns: Sequence[str] | None = None
    scale: Sequence[float] | None = None
    threshold: Threshold | None = None
    on_error: str = "raise"
    truncate: bool = False
    shard: str = str(WHOLE)
    resume: bool = False
    force: bool = False
    format: str | None = None
    quoting: str | None = None
    report: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a Job means for one bundle: the formats of input and output, the fields of a row, the new columns.

    `quoting` is that of a table; None where its quotes must not matter, and for other formats.
    """

    formats: tuple[Format, Format]
    quoting: Quoting | None
    fields: tuple[str, ...]
    columns: Columns
    shard: Shard
    truncate: bool


def check_path(path: object, name: str) -> str:
    """Return `path` as a str. Raises InputError where it is not a path."""
    if isinstance(path, str | os.PathLike) and isinstance(text := os.fspath(path), str):
        return text
    raise InputError(f"{name} is {describe(path)}, expected the path of a file, or '-'")


def check(job: Job, manifest: Manifest) -> Plan:
    """Return what `job` means for the bundle with this manifest. Raises InputError for a wrong option."""
    if job.on_error not in ("raise", "null"):
        raise InputError(f"on_error is {job.on_error!r}, expected 'raise' or 'null'")
    for name in ("truncate", "resume", "force"):
        check_flag(getattr(job, name), name)
    formats = _check_files(job)
    _check_report(job)
    asked = check_quoting(job.quoting)
    quoting = choose_quoting(job.source, formats[0], asked) if formats[0].kind in DELIMITERS else None
    fields = _check_fields(manifest, job.fields)
    scale = _check_scale(manifest, job.scale)
    limits = check_threshold(job.threshold, manifest)
    threshold = None if limits is None else dict(zip(manifest.labels, limits, strict=True))
    columns = Columns(choose_columns(manifest, job.columns), scale, job.on_error == "null", threshold)
    return Plan(formats, quoting, fields, columns, parse_shard(job.shard), job.truncate)


def identify(model: Model, job: Job, plan: Plan, source: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that the output's bytes depend on, except the rows of the input, in types that JSON preserves."""
    (read, written), columns = plan.formats, plan.columns
    names = ["assay", "tokenizers"]
    names += ["pyarrow"] if written.kind == "parquet" else []
    names += ["zstandard"] if written.compression == "zst" else []
    info = model.info
    names += ["assay-kernels"] if "instruction_set" in info else []  # which one does not change a bit
    return {
        **{f"{name} version": version(name) for name in names},
        "onnxruntime version": str(onnxruntime().__version__),
        "bundle": str(model.manifest.document["sha256"]),
        **{name: info.get(name) for name in ("variant", "graph", "device", "threads", "mode")},
        "input format": [read.kind, read.compression],
        "quoting": plan.quoting,
        "fields": list(plan.fields),
        "columns": [column.name for column in columns.answers],
        "scale": None if columns.scale is None else [float(limit) for limit in columns.scale],
        **({} if columns.threshold is None else {"threshold": dict(columns.threshold)}),
        "on-error": job.on_error,
        "truncate": job.truncate,
        "shard": job.shard,
        **{f"input {name}": value for name, value in source.items()},
    }


def _check_files(job: Job) -> tuple[Format, Format]:
    source, target = job.source, job.target
    for path in (source, target):
        if "\0" in path:
            raise InputError(f"{path!r}: found a NUL character, expected the name of a file")
    formats = check_conversion(source, target, job.format)
    if job.resume and STANDARD in (source, target):
        raise InputError("--resume needs files, because - cannot be read or written a second time; leave it out")
    if STANDARD not in (source, target):
        with contextlib.suppress(OSError):  # one of them does not exist yet
            if Path(source).samefile(target):
                raise InputError(f"{target}: is the input, expected another file as OUTPUT")
    return formats


def _check_report(job: Job) -> None:
    if job.report is None:
        return
    if STANDARD in (job.target, job.report):
        raise InputError("--report needs a file for itself and as OUTPUT, which it is made from; found -")
    report = Path(job.report)
    for path in (job.source, job.target):
        if path != STANDARD and Path(path).resolve() == report.resolve():
            raise InputError(f"{report}: is the input or OUTPUT, expected another file for the report")
    if os.path.lexists(report) and not (job.force and report.is_file()):
        raise InputError(f"{report}: exists already; name another file, or replace it with --force")
    if not report.absolute().parent.is_dir():
        raise InputError(f"{report}: is in no folder that exists; make the folder, or name another file")


def _check_fields(manifest: Manifest, fields: Sequence[str] | None) -> tuple[str, ...]:
    if fields is None:
        return FIELDS[manifest.input]
    count = len(FIELDS[manifest.input])
    if (
        not isinstance(fields, tuple | list)
        or not all(isinstance(field, str) for field in fields)
        or len(fields) != count
    ):
        wanted = "the two fields of a pair (--pair)" if count == 2 else "the field of one text (--text)"
        raise InputError(f"fields is {describe(fields)}, expected {wanted}, as this bundle reads")
    return tuple(fields)


def _check_scale(manifest: Manifest, scale: Sequence[float] | None) -> tuple[float, float] | None:
    if scale is None:
        return None
    if manifest.task != "regression":
        raise InputError("scale is for a regression bundle, this one classifies; leave it out")
    if not isinstance(scale, tuple | list) or len(scale) != 2:
        raise InputError(f"scale is {describe(scale)}, expected two numbers, (min, max)")
    return scale[0], scale[1]
