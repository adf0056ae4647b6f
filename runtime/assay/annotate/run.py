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

from assay.annotate.formats.encoders import Encoder, Selection, connect
from assay.annotate.job import Job, Plan, check, check_path, identify
from assay.annotate.output.destination import Output, StandardOutput, WriteError
from assay.annotate.output.file import FileOutput
from assay.annotate.progress import Silent
from assay.annotate.windows import Source, Window
from assay.bundle.manifest import Manifest
from assay.errors import AssayError, InputError
from assay.inputs.files.fields import locate
from assay.inputs.files.names import STANDARD
from assay.inputs.validation import Row, describe
from assay.models.base import Model
from assay.models.columns import check_scale
from assay.models.streams.streaming import Answered, answer_windows
from assay.models.thresholds import Threshold

__all__ = ["StoppedError", "Summary", "annotate", "annotate_file"]

_SECONDS_BETWEEN_LOOKS = 0.1  # how soon a signal is seen while the model runs


@dataclass(frozen=True, slots=True)
class Summary:
    """The rows of an output with those of an interrupted run, how many of them failed, and the tokens run."""

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
    threshold: Threshold | None = None,
    on_error: Literal["raise", "null"] = "raise",
    truncate: bool = False,
    shard: str = "1/1",
    resume: bool = False,
    force: bool = False,
    format: Literal["jsonl", "csv", "tsv"] | None = None,
    quoting: Literal["none", "minimal"] | None = None,
    report: str | os.PathLike[str] | None = None,
) -> Summary:
    """Write the rows of the file `source` with the model's answers to the file `target`.

    Args:
        model: What assay.load returned.
        source: The input; "-" is standard input.
        target: The output; "-" is standard output.
        fields: The field of the text, or the two of a pair: names or dotted paths into nested fields. By default
            "text", or "text" and "text_pair".
        columns: Of "label", "labels", "score", "scores" and "evol_complexity". By default label and score, for a
            multi-label bundle labels and scores, and for a regression score.
        scale: (min, max) that the scores of a regression are rescaled to.
        threshold: The least probability of a label that a row of a multi-label bundle has, as in Classifier.predict.
        on_error: "raise", or "null" to keep a row that cannot be answered, without answers and with an "error" column.
        truncate: Cut texts that the bundle would refuse as too long.
        shard: "I/N" for every N-th row from the I-th on.
        resume: Go on from what an interrupted run left, if it left something.
        force: Replace `target`, and discard what an interrupted run left.
        format: The format of standard input and output. By default JSON lines.
        quoting: Whether quotes in a table are text, "none", or quote cells, "minimal". By default a CSV file quotes
            cells, and a TSV file if its quotes are consistent.
        report: An HTML file to write about `target` once that is complete: the distribution of the answers, examples,
            lengths and errors.

    Returns:
        How many rows were written, how many of them failed, and how many tokens were run.

    Raises:
        InputError: A row, a file or an option is wrong.
        AssayError: The target cannot be written. Rows that were written by then are kept for `resume`.
    """
    if not isinstance(model, Model):
        raise InputError(f"model is {describe(model)}, expected what assay.load returns")
    paths = check_path(source, "source"), check_path(target, "target")
    page = None if report is None else check_path(report, "report")
    job = Job(
        *paths, fields, columns, scale, threshold, on_error, truncate, shard, resume, force, format, quoting, page
    )
    return annotate(job, model.manifest, lambda: model)


def annotate(
    job: Job,
    manifest: Manifest,
    load: Callable[[], Model],
    progress: Silent | None = None,
    stop: threading.Event | None = None,
) -> Summary:
    """Run `job` like annotate_file, loading the model once everything else was found right.

    Args:
        job: The options.
        manifest: That of the bundle.
        load: Returns the model.
        progress: Is told how far the run is.
        stop: Ends the run with StoppedError when it is set.
    """
    plan = check(job, manifest)
    summary = _annotate(job, plan, manifest, load, progress, stop)
    if job.report is not None:
        from assay.annotate.report import write_report

        write_report(job.report, job, plan, manifest)
    return summary


def _annotate(
    job: Job,
    plan: Plan,
    manifest: Manifest,
    load: Callable[[], Model],
    progress: Silent | None,
    stop: threading.Event | None,
) -> Summary:
    with contextlib.ExitStack() as stack:
        file = None
        if job.target != STANDARD:
            file = stack.enter_context(FileOutput(Path(job.target), force=job.force, resume=job.resume))
            if file.complete:
                file.finish(None)
                return _summarize(file)
        selection = Selection(plan.fields, manifest.input, plan.columns, plan.shard, plan.quoting)
        source, encoder = connect(job.source, plan.formats, selection)
        stack.callback(source.close)
        model = load()
        check_scale(model, plan.columns.scale)
        output: Output = file if file is not None else StandardOutput()
        if file is None or not file.start(identify(model, job, plan, source.identity())):
            output.append(encoder.head)
        try:
            if output.journal.stage == "annotating":
                _run(model, source, encoder, plan, output, progress or Silent(), stop)
            output.finish(encoder.assemble)
        except AssayError as error:
            raise _mention_kept_rows(error, output, job.target) from error
        return _summarize(output)


def _summarize(output: Output) -> Summary:
    journal = output.journal
    return Summary(journal.rows, journal.failed, journal.tokens)


def _run(
    model: Model,
    source: Source,
    encoder: Encoder,
    plan: Plan,
    output: Output,
    progress: Silent,
    stop: threading.Event | None,
) -> None:
    """Answer and write every window. While one is written, the next is answered and the one after that is read."""
    windows: deque[Window] = deque()

    def read_rows() -> Iterator[list[Row | AssayError]]:
        for window in source.windows(output.journal.source):
            windows.append(window)
            yield window.rows

    answers = answer_windows(model, read_rows(), truncate=plan.truncate)
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="assay-answers")
    state = output.journal.source
    progress.begin(source.total, int(state["position"]) if state is not None else 0)
    try:
        coming: Future[Answered | None] = pool.submit(next, answers, None)
        while (answered := _wait(coming, stop)) is not None:
            window = windows.popleft()
            errors = _locate_errors(window, answered, plan.fields)
            if errors and not plan.columns.errors:
                raise errors[min(errors)]
            coming = pool.submit(next, answers, None)
            values = plan.columns.tabulate(model, answered, errors)
            output.append(encoder.encode(window, values), len(window.rows), len(errors), answered.tokens, window.state)
            progress.advance(len(window.rows), answered.tokens, window.position)
    except AssayError as error:
        if not isinstance(error, WriteError):
            output.commit()
        raise
    finally:
        progress.end()
        # Threads answer a window to its end even if nobody waits for it any more; nobody waits for them either.
        pool.shutdown(wait=False, cancel_futures=True)


def _wait(coming: Future[Answered | None], stop: threading.Event | None) -> Answered | None:
    """Return the answers to the next window. Raises StoppedError as soon as `stop` is set."""
    while True:
        if stop is not None and stop.is_set():
            raise StoppedError("interrupted")
        done, _ = wait([coming], timeout=_SECONDS_BETWEEN_LOOKS)
        if done:
            return coming.result()


def _locate_errors(window: Window, answered: Answered, fields: Sequence[str]) -> dict[int, AssayError]:
    """Return why rows of the window have no answer. What the model found is told with the row's place in the input."""
    errors = dict(answered.errors)
    for index, error in errors.items():
        if not isinstance(window.rows[index], AssayError):
            where = locate(window.wheres[index], '" and "'.join(fields))
            errors[index] = type(error)(f"{where}: {error}")
    return errors


def _mention_kept_rows(error: AssayError, output: Output, target: str) -> AssayError:
    """Return the error with what the user can do about the rows that were done."""
    kept = output.kept
    rows = f"{kept:,} {'row is' if kept == 1 else 'rows are'} kept"
    if isinstance(error, StoppedError):
        if target == STANDARD:
            done = output.journal.rows
            return StoppedError(f"interrupted after {done:,} {'row' if done == 1 else 'rows'}")
        return StoppedError(f"{target}: interrupted; {f'{rows}, go on with --resume' if kept else 'no row was done'}")
    if not kept:
        return error
    return type(error)(f"{error}; {rows}: fix the cause, then go on with --resume")
