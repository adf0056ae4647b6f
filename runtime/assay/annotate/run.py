"""annotate_file: the order of a run, and its loop over windows."""

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from assay.annotate.encoders import Encoder, connect
from assay.annotate.formats import STANDARD
from assay.annotate.job import Asked, Job, check, checked_path, identity
from assay.annotate.output import FileOutput, Output, StandardOutput, WriteError
from assay.annotate.paths import located
from assay.annotate.progress import Silent
from assay.annotate.windows import Source, Window
from assay.bundle.manifest import Manifest
from assay.errors import AssayError, InputError
from assay.inputs.validation import Row, describe
from assay.models.base import Float32, Model
from assay.models.scorer import Scorer
from assay.models.streaming import Answered, answer_windows

__all__ = ["StoppedError", "Summary", "annotate", "annotate_file"]

_SECONDS_BETWEEN_LOOKS = 0.1  # how soon a signal is seen while the model runs


@dataclass(frozen=True, slots=True)
class Summary:
    """The rows of an output, those of an interrupted run included, how many of them failed, and the tokens run."""

    rows: int
    failed: int
    tokens: int


class StoppedError(AssayError):
    """The run was asked to stop. The message says how to go on."""


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
    if not isinstance(model, Model):
        raise InputError(f"model is {describe(model)}, expected what assay.load gives")
    paths = checked_path(source, "source"), checked_path(target, "target")
    job = Job(*paths, fields, columns, scale, on_error, truncate, shard, resume, force)
    return annotate(job, model.manifest, lambda: model)


def annotate(
    job: Job,
    manifest: Manifest,
    load: Callable[[], Model],
    progress: Silent | None = None,
    stop: threading.Event | None = None,
) -> Summary:
    """As annotate_file, with a model that is loaded when all else was found right. `stop` ends it with StoppedError."""
    asked = check(job, manifest)
    with contextlib.ExitStack() as stack:
        file = None
        if job.target != STANDARD:
            file = stack.enter_context(FileOutput(Path(job.target), force=job.force, resume=job.resume))
            if file.complete:
                file.finish(None)
                return _summary(file)
        source, encoder = connect(job.source, asked.formats, asked.fields, manifest.input, asked.columns, asked.shard)
        stack.callback(source.close)
        model = load()
        if isinstance(model, Scorer):
            model.scores(np.empty((0, 1), np.float32), asked.columns.scale)  # raises where the bundle has no such scale
        output: Output = file if file is not None else StandardOutput()
        if file is None or not file.start(identity(model, job, asked, source.identity())):
            output.append(encoder.head)
        try:
            if output.journal.stage == "annotating":
                _run(model, source, encoder, asked, output, progress or Silent(), stop)
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
    asked: Asked,
    output: Output,
    progress: Silent,
    stop: threading.Event | None,
) -> None:
    """Answer and write every window. While one is written the next is answered and the one after it read."""
    windows: deque[Window] = deque()

    def rows_of_windows() -> Iterator[list[Row]]:
        for window in source.windows(output.journal.source):
            windows.append(window)
            yield [row for row in window.rows if not isinstance(row, AssayError)]

    answers = answer_windows(model, rows_of_windows(), truncate=asked.truncate)
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="assay-answers")
    state = output.journal.source
    progress.begin(source.total, int(state["position"]) if state is not None else 0)
    try:
        coming: Future[Answered | None] = pool.submit(next, answers, None)
        while (answered := _wait(coming, stop)) is not None:
            window = windows.popleft()
            errors = _errors(window, answered, asked.fields)
            if errors and not asked.columns.errors:
                raise errors[min(errors)]
            coming = pool.submit(next, answers, None)
            values = asked.columns.of(model, _spread(window, answered.logits), errors)
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


def _answered_rows(window: Window) -> list[int]:
    """Which rows of the window the model was asked."""
    return [place for place, row in enumerate(window.rows) if not isinstance(row, AssayError)]


def _errors(window: Window, answered: Answered, fields: Sequence[str]) -> dict[int, AssayError]:
    """Why rows of the window have no answer, each error with its place in the input."""
    errors = {place: row for place, row in enumerate(window.rows) if isinstance(row, AssayError)}
    answered_rows = _answered_rows(window)
    for index, error in answered.errors.items():
        place = answered_rows[index]
        where = located(window.wheres[place], '" and "'.join(fields))
        errors[place] = type(error)(f"{where}: {error}")
    return errors


def _spread(window: Window, logits: Float32) -> Float32:
    """The logits [rows of the window, labels] from those of the rows that were asked; the others get NaN."""
    spread = np.full((len(window.rows), logits.shape[1]), np.nan, dtype=np.float32)
    spread[_answered_rows(window)] = logits
    return spread


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
