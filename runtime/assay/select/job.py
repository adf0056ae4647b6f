"""The options of a selection, checked before anything is read."""

import contextlib
import itertools
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from assay.errors import InputError
from assay.inputs.files.names import STANDARD, FileKind, Format, check_standard, parse_name
from assay.inputs.files.quoting import Quoting, check_quoting
from assay.inputs.validation import check_flag, describe

__all__ = ["Job", "Plan", "check"]

_KINDS: tuple[FileKind, ...] = ("jsonl", "csv", "tsv", "parquet")


@dataclass(frozen=True, slots=True)
class Job:
    """The options of select_file, which describes them."""

    source: str
    target: str
    top: int
    by: str = "score"
    group: str | None = None
    bins: Sequence[float] | None = None
    on_error: str = "raise"
    force: bool = False
    format: str | None = None
    quoting: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a Job means: the formats of input and output, the quoting that was asked for, the edges of the bins."""

    read: Format
    written: Format
    quoting: Quoting | None
    edges: tuple[float, ...]

    def find_bin(self, score: float) -> int | None:
        """Return the number of the bin that has `score`, from 0, or None where none has it.

        A bin has its lower edge and not its upper one, which only the last has. Without bins there is one for all.
        """
        edges = self.edges
        if not edges:
            return 0
        if not edges[0] <= score <= edges[-1]:
            return None
        above = next((number for number, edge in enumerate(edges) if score < edge), len(edges) - 1)
        return above - 1


def check(job: Job) -> Plan:
    """Return what `job` means. Raises InputError for a wrong option."""
    if not isinstance(job.top, int) or isinstance(job.top, bool) or job.top < 1:
        found = job.top if isinstance(job.top, int) else describe(job.top)
        raise InputError(f"top is {found}, expected the number of rows to keep, an integer of at least 1")
    for name, column in (("by", job.by), ("group", job.group)):
        if not isinstance(column, str) and not (column is None and name == "group"):
            raise InputError(f"{name} is {describe(column)}, expected the name of a column")
    if job.on_error not in ("raise", "skip"):
        raise InputError(f"on_error is {job.on_error!r:.80}, expected 'raise' or 'skip'")
    check_flag(job.force, "force")
    read, written = _check_files(job)
    return Plan(read, written, check_quoting(job.quoting), _check_edges(job.bins))


def _check_files(job: Job) -> tuple[Format, Format]:
    source, target = job.source, job.target
    standard = check_standard(job.format, _KINDS, (source, target))
    read, written = parse_name(source, _KINDS, standard), parse_name(target, _KINDS, standard)
    if read.kind != written.kind:
        raise InputError(
            f"{target}: {read.kind} cannot be written as {written.kind}, because rows keep their bytes; expected an "
            f"OUTPUT of .{read.kind}"
        )
    if target != STANDARD:
        if source != STANDARD:
            with contextlib.suppress(OSError):  # one of them does not exist yet
                if Path(source).samefile(target):
                    raise InputError(f"{target}: is the input, expected another file as OUTPUT")
        if os.path.lexists(target):
            if not Path(target).is_file():  # also a link without a target
                raise InputError(f"{target}: is not a regular file; name a file, or - for standard output")
            if not job.force:
                raise InputError(f"{target}: exists already; name another file, or replace it with --force")
    return read, written


def _check_edges(bins: Sequence[float] | None) -> tuple[float, ...]:
    if bins is None:
        return ()
    if not isinstance(bins, tuple | list) or not all(
        isinstance(edge, int | float) and not isinstance(edge, bool) for edge in bins
    ):
        raise InputError(f"bins is {describe(bins)}, expected the edges of the bins, two or more numbers")
    edges = [float(edge) for edge in bins]
    rising = all(low < high for low, high in itertools.pairwise(edges))
    if len(edges) < 2 or not rising or not all(map(math.isfinite, edges)):
        raise InputError(f"bins is {edges!r:.200}, expected the edges of the bins, two or more finite, rising numbers")
    return tuple(edges)
