"""select_file: reads the scores, chooses, and copies the rows chosen."""

import contextlib
import gzip
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, cast

from assay.errors import AssayError, InputError
from assay.files import write_whole
from assay.inputs.files.compression import require_zstandard
from assay.inputs.files.names import STANDARD, Compression, name_input
from assay.inputs.files.quoting import choose_quoting
from assay.inputs.files.tables import DELIMITERS
from assay.inputs.validation import describe
from assay.select.job import Job, Plan, check
from assay.select.ranking import Ranking
from assay.select.rows import Rows
from assay.select.text import JsonRows, TableRows

__all__ = ["Summary", "select", "select_file"]


@dataclass(frozen=True, slots=True)
class Summary:
    """What was selected.

    Attributes:
        rows: The rows of the input.
        selected: The rows of the output.
        quotas: The groups, or groups and bins, that have at least one row.
        outside: The rows whose score is in no bin.
        skipped: The rows without a score, with on_error="skip".
    """

    rows: int
    selected: int
    quotas: int
    outside: int
    skipped: int


def select_file(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    top: int,
    by: str = "score",
    group: str | None = None,
    bins: Sequence[float] | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    force: bool = False,
    format: Literal["jsonl", "csv", "tsv"] | None = None,
    quoting: Literal["none", "minimal"] | None = None,
) -> Summary:
    """Write the rows of the file `source` with the highest scores to the file `target`, in the order of the input.

    The input is read twice, and standard input is kept in a temporary file for that. Memory grows with `top` and the
    number of groups, not with the file. Of rows with equal scores, the first are taken.

    Args:
        source: The input, in a format of assay.annotate; "-" is standard input.
        target: The output, in the same format as the input, but with any compression; "-" is standard output.
        top: How many rows to keep: in all, or of every group, every bin, or every group in every bin.
        by: The column of the score, or a dotted path to it.
        group: The column of the group. Each of its values has a quota of its own.
        bins: The edges of ranges of scores, rising. Each range has a quota of its own, includes its lower edge, and
            the last one also its upper edge. Rows outside are left out.
        on_error: "raise", or "skip" to leave out rows without a finite score.
        force: Replace `target`.
        format: The format of standard input and output. By default JSON lines.
        quoting: Whether quotes in a table are text, "none", or quote cells, "minimal", as in annotate_file.

    Returns:
        How many rows there were, and how many were selected.

    Raises:
        InputError: A row, a file or an option is wrong.
        AssayError: The target cannot be written.
    """
    paths = _check_path(source, "source"), _check_path(target, "target")
    return select(Job(*paths, top, by, group, bins, on_error, force, format, quoting))


def select(job: Job) -> Summary:
    """Run `job` like select_file."""
    plan = check(job)
    with _open_again(job.source) as path:
        before = _identify(path)
        rows = _connect(path, job, plan)
        ranking, summary = _rank(rows, job, plan)
        chosen = set(ranking.choose())
        with _write(job.target, plan.written.compression) as out:
            rows.copy(chosen, out)
            if _identify(path) != before:
                raise InputError(f"{name_input(job.source)}: changed while it was read; start again")
    return summary


def _rank(rows: Rows, job: Job, plan: Plan) -> tuple[Ranking, Summary]:
    """Read the scores of all rows."""
    ranking = Ranking(job.top)
    count = outside = skipped = 0
    first: InputError | None = None
    for row, key in enumerate(rows.keys()):
        count += 1
        if isinstance(key, InputError):
            if job.on_error == "raise":
                raise key
            first = first or key
            skipped += 1
            continue
        number = plan.find_bin(key.score)
        if number is None:
            outside += 1
            continue
        ranking.add(row, key.score, (key.group, number), key.where)
    if first is not None and skipped == count:
        raise InputError(f"no row has a score to rank it by; the first: {first}")
    selected = len(ranking.choose())
    return ranking, Summary(count, selected, ranking.quotas, outside, skipped)


def _connect(path: str, job: Job, plan: Plan) -> Rows:
    name, read = name_input(job.source), plan.read
    if read.kind == "jsonl":
        return JsonRows(path, name, read, job.by, job.group)
    if read.kind == "parquet":
        from assay.select.parquet import ParquetRows

        return ParquetRows(path, name, job.by, job.group)
    quoting = choose_quoting(path, read, plan.quoting) if read.kind in DELIMITERS else None
    return TableRows(path, name, read, quoting, job.by, job.group)


@contextlib.contextmanager
def _open_again(source: str) -> Iterator[str]:
    """Yield a path that can be read twice: the source itself, or a copy of standard input or of a pipe."""
    if source != STANDARD and not _is_pipe(source):
        yield source
        return
    with contextlib.ExitStack() as stack:
        if source == STANDARD:
            found: BinaryIO | None = getattr(sys.stdin, "buffer", None)
            if found is None:
                raise InputError("standard input has no bytes to read; name a file as INPUT")
            read = found
        else:
            read = stack.enter_context(Path(source).open("rb"))
        copy = stack.enter_context(tempfile.NamedTemporaryFile(prefix="assay-select-"))
        try:
            shutil.copyfileobj(read, copy, 1 << 20)
            copy.flush()
        except OSError as error:
            raise AssayError(
                f"{copy.name}: the copy of {name_input(source)} cannot be written ({error}); set TMPDIR to a folder "
                "with more space"
            ) from error
        yield copy.name


def _is_pipe(path: str) -> bool:
    try:
        return stat.S_ISFIFO(Path(path).stat().st_mode)
    except (OSError, ValueError):  # who opens the file says what is wrong with it
        return False


def _identify(path: str) -> tuple[int, ...]:
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns


@contextlib.contextmanager
def _write(target: str, compression: Compression) -> Iterator[BinaryIO]:
    """Open the output, whose bytes are compressed on their way to it."""
    if target == STANDARD:
        out: BinaryIO | None = getattr(sys.stdout, "buffer", None)
        if out is None:
            raise InputError("standard output takes no bytes; name a file as OUTPUT")
        yield out
        out.flush()
        return
    if compression == "zst":
        require_zstandard()  # a missing package shows before a file is made
    try:
        with write_whole(Path(target)) as file:
            if compression == "gz":
                with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
                    yield cast(BinaryIO, packed)
            elif compression == "zst":
                compressor = require_zstandard().ZstdCompressor(level=3, write_checksum=True)
                with compressor.stream_writer(file, closefd=False) as packed:
                    yield packed
            else:
                yield file
    except OSError as error:
        if isinstance(error, AssayError):
            raise
        raise AssayError(f"{target}: cannot be written ({error}); free some space, or choose another place") from error


def _check_path(path: object, name: str) -> str:
    if isinstance(path, str | os.PathLike) and isinstance(text := os.fspath(path), str) and "\0" not in text:
        return text
    raise InputError(f"{name} is {describe(path)}, expected the path of a file, or '-'")
