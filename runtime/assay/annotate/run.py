"""annotate_file: the order of a run, and its loop over windows."""

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from assay.annotate.columns import Columns, choose_columns
from assay.annotate.encoders import Encoder, connect
from assay.annotate.formats import STANDARD, Format, check_conversion
from assay.annotate.output import FileOutput, Output, StandardOutput, WriteError
from assay.annotate.paths import located
from assay.annotate.progress import Silent
from assay.annotate.shards import WHOLE, parse_shard
from assay.annotate.windows import Source, Window
from assay.errors import AssayError, InputError
from assay.installation import onnxruntime
from assay.manifest import Manifest
from assay.model import Float32, Model
from assay.scorer import Scorer
from assay.streaming import Answered, answer_windows
from assay.validation import Kind, Row, check_flag, describe

__all__ = ["Job", "StoppedError", "Summary", "annotate", "annotate_file"]

_SECONDS_BETWEEN_LOOKS = 0.1  # how soon a signal is seen while the model runs
_DEFAULT_FIELDS: dict[Kind, tuple[str, ...]] = {"text": ("text",), "pair": ("text", "text_pair")}


@dataclass(frozen=True, slots=True)
class Summary:
    """The rows of an output, those of an interrupted run included, how many of them failed, and the tokens run."""

    rows: int
    failed: int
    tokens: int


class StoppedError(AssayError):
    """The run was asked to stop. The message says how to go on."""


@dataclass(frozen=True, slots=True)
class Job:
    """The options of annotate_file, which describes them."""

    source: str
    target: str
    fields: Sequence[str] | None = None
    columns: Sequence[str] | None = None
    scale: Sequence[float] | None = None
    on_error: str = "raise"
    truncate: bool = False
    shard: str = str(WHOLE)
    resume: bool = False
    force: bool = False


def annotate_file(
    model: Model,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    fields: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    scale: Sequence[float] | None = None,
    on_error: Literal["raise", "null"] = "raise",
    truncate: bool = False,
    shard: str = "1/1",
    resume: bool = False,
    force: bool = False,
) -> Summary:
    """Write the rows of the file `source` with the model's answers to the file `target`, both "-" for standard ones.

    fields: the field of the text, or the two of a pair; by default "text", or "text" and "text_pair". A field is a name
        or a dotted path into nested fields.
    columns: of "label", "score", "scores", "evol_complexity"; by default label and score, or score.
    scale: (min, max) that scores are rescaled to, for a regression.
    on_error: "null" keeps a row that cannot be answered, without answers and with an "error" column.
    shard: "I/N" for every N-th row from the I-th on.
    resume: go on from what an interrupted run left, if it left something. force: replace `target`, and discard that.

    Raises InputError for a row, a file or an option that is wrong, AssayError where the target cannot be written. Rows
    that were written by then are kept for `resume`.
    """
    job = Job(os.fspath(source), os.fspath(target), fields, columns, scale, on_error, truncate, shard, resume, force)
    return annotate(job, model.manifest, lambda: model)


def annotate(
    job: Job,
    manifest: Manifest,
    load: Callable[[], Model],
    progress: Silent | None = None,
    stop: threading.Event | None = None,
) -> Summary:
    """As annotate_file, with a model that is loaded when all else was found right. `stop` ends it with StoppedError."""
    if job.on_error not in ("raise", "null"):
        raise InputError(f"on_error is {job.on_error!r}, expected 'raise' or 'null'")
    for name in ("truncate", "resume", "force"):
        check_flag(getattr(job, name), name)
    formats = _checked_files(job.source, job.target, job.resume)
    fields = _checked_fields(manifest, job.fields)
    scale = _checked_scale(manifest, job.scale)
    columns = Columns(choose_columns(manifest, job.columns), scale, errors=job.on_error == "null")
    shard = parse_shard(job.shard)
    with contextlib.ExitStack() as stack:
        file = None
        if job.target != STANDARD:
            file = stack.enter_context(FileOutput(Path(job.target), force=job.force, resume=job.resume))
            if file.complete:
                file.finish(None)
                return _summary(file)
        source, encoder = connect(
            job.source, formats, fields, manifest.input, columns, shard, strict=not columns.errors
        )
        stack.callback(source.close)
        model = load()
        if isinstance(model, Scorer):
            model.scores(np.empty((0, 1), np.float32), scale)  # raises where the bundle has no such scale
        output: Output = file if file is not None else StandardOutput()
        if file is None or not file.start(_identity(model, formats, fields, columns, job, source)):
            output.append(encoder.head)
        try:
            if output.journal.stage == "annotating":
                _run(model, source, encoder, columns, fields, output, job, progress or Silent(), stop)
            output.finish(encoder.assemble)
        except AssayError as error:
            raise _with_what_is_kept(error, output, job.target) from error
        return _summary(output)


def _summary(output: Output) -> Summary:
    journal = output.journal
    return Summary(journal.rows, journal.failed, journal.tokens)


def _run(
    model: Model,
    source: Source,
    encoder: Encoder,
    columns: Columns,
    fields: Sequence[str],
    output: Output,
    job: Job,
    progress: Silent,
    stop: threading.Event | None,
) -> None:
    """Answer and write every window. While one is written the next is answered and the one after it read."""
    windows: deque[Window] = deque()

    def rows_of_windows() -> Iterator[list[Row]]:
        for window in source.windows(output.journal.source):
            windows.append(window)
            yield [row for row in window.rows if not isinstance(row, AssayError)]

    answers = answer_windows(model, rows_of_windows(), truncate=job.truncate)
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="assay-answers")
    state = output.journal.source
    progress.begin(source.total, int(state["position"]) if state is not None else 0)
    try:
        coming: Future[Answered | None] = pool.submit(next, answers, None)
        while (answered := _wait(coming, stop)) is not None:
            window = windows.popleft()
            errors = _errors(window, answered, fields)
            if errors and not columns.errors:
                raise errors[min(errors)]
            coming = pool.submit(next, answers, None)
            values = columns.of(model, _spread(window, answered.logits), errors)
            output.append(encoder.encode(window, values), len(window.rows), len(errors), answered.tokens, window.state)
            progress.advance(len(window.rows), answered.tokens, window.position)
    except AssayError as error:
        if not isinstance(error, WriteError):
            output.commit()
        raise
    finally:
        progress.end()
        # A window that nobody waits for any more is answered to its end by threads that nobody waits for either.
        pool.shutdown(wait=False, cancel_futures=True)


def _wait(coming: Future[Answered | None], stop: threading.Event | None) -> Answered | None:
    """The next window's answers. Raises StoppedError as soon as `stop` is set."""
    while True:
        if stop is not None and stop.is_set():
            raise StoppedError("interrupted")
        done, _ = wait([coming], timeout=_SECONDS_BETWEEN_LOOKS)
        if done:
            return coming.result()


def _asked(window: Window) -> list[int]:
    """Which rows of the window the model was asked."""
    return [place for place, row in enumerate(window.rows) if not isinstance(row, AssayError)]


def _errors(window: Window, answered: Answered, fields: Sequence[str]) -> dict[int, AssayError]:
    """Why rows of the window have no answer, each error with its place in the input."""
    errors = {place: row for place, row in enumerate(window.rows) if isinstance(row, AssayError)}
    asked = _asked(window)
    for index, error in answered.errors.items():
        where = located(window.wheres[asked[index]], '" and "'.join(fields))
        errors[asked[index]] = type(error)(f"{where}: {error}")
    return errors


def _spread(window: Window, logits: Float32) -> Float32:
    """The logits [rows of the window, labels] from those of the rows that were asked; the others get NaN."""
    spread = np.full((len(window.rows), logits.shape[1]), np.nan, dtype=np.float32)
    spread[_asked(window)] = logits
    return spread


def _checked_files(source: str, target: str, resume: bool) -> tuple[Format, Format]:
    formats = check_conversion(source, target)
    if resume and STANDARD in (source, target):
        raise InputError("--resume needs files, - cannot be read or written a second time; leave it out")
    if STANDARD not in (source, target):
        with contextlib.suppress(OSError):  # one of them is not there yet
            if Path(source).samefile(target):
                raise InputError(f"{target}: is the input, expected another file as OUTPUT")
    return formats


def _checked_fields(manifest: Manifest, fields: Sequence[str] | None) -> tuple[str, ...]:
    if fields is None:
        return _DEFAULT_FIELDS[manifest.input]
    count = len(_DEFAULT_FIELDS[manifest.input])
    if isinstance(fields, str) or not all(isinstance(field, str) for field in fields) or len(fields) != count:
        found = describe(fields) if isinstance(fields, str) else f"{len(fields)} fields"
        wanted = "the two fields of a pair (--pair)" if count == 2 else "the field of one text (--text)"
        raise InputError(f"fields: found {found}, expected {wanted}: so this bundle reads")
    return tuple(fields)


def _checked_scale(manifest: Manifest, scale: Sequence[float] | None) -> tuple[float, float] | None:
    if scale is None:
        return None
    if manifest.task != "regression":
        raise InputError("scale is for a regression bundle, this one classifies; leave it out")
    if not isinstance(scale, tuple | list) or len(scale) != 2:
        raise InputError(f"scale is {describe(scale)}, expected two numbers, (min, max)")
    return scale[0], scale[1]


def _identity(
    model: Model, formats: tuple[Format, Format], fields: Sequence[str], columns: Columns, job: Job, source: Source
) -> dict[str, Any]:
    """All that the bytes of the output depend on, beside the input's rows, in what JSON gives back as it was."""
    names = ["assay", "tokenizers"]
    names += ["pyarrow"] if formats[1].kind == "parquet" else []
    names += ["zstandard"] if formats[1].compression == "zst" else []
    info = model.info
    return {
        **{f"{name} version": version(name) for name in names},
        "onnxruntime version": str(onnxruntime().__version__),
        "bundle": str(model.manifest.document["sha256"]),
        **{name: info.get(name) for name in ("variant", "graph", "device", "threads", "mode")},
        "input format": [formats[0].kind, formats[0].compression],
        "fields": list(fields),
        "columns": [column.name for column in columns.answers],
        "scale": None if columns.scale is None else [float(limit) for limit in columns.scale],
        "on-error": job.on_error,
        "truncate": job.truncate,
        "shard": job.shard,
        **{f"input {name}": value for name, value in source.identity().items()},
    }


def _with_what_is_kept(error: AssayError, output: Output, target: str) -> AssayError:
    """The error with what the user can do about the rows that were done."""
    kept = output.kept
    if isinstance(error, StoppedError):
        if target == STANDARD:
            return StoppedError(f"interrupted after {output.journal.rows:,} rows")
        what = f"{kept:,} rows are kept, go on with --resume" if kept else "no row was done yet"
        return StoppedError(f"{target}: interrupted; {what}")
    if not kept:
        return error
    return type(error)(f"{error}; {kept:,} rows before it are kept: once it is mended, go on with --resume")
