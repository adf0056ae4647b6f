"""What every adapter shares: from the cells of one or two columns to new columns. No library but numpy is known here.

A worker process loads a bundle once and keeps it. What travels to it is an Annotation: a path and options.
"""

import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from assay.bundle.hub import open_bundle
from assay.bundle.manifest import Manifest
from assay.errors import AssayError, InputError, NumericalError
from assay.inputs.validation import Row, check_flag, check_row, describe
from assay.load_options import Options
from assay.loading import load
from assay.models import columns
from assay.models.base import Model
from assay.models.columns import ERROR
from assay.models.streams.streaming import Answered, answer_windows
from assay.models.thresholds import Threshold, check_threshold

__all__ = [
    "Annotation",
    "AnswerOptions",
    "ReadOptions",
    "check_columns",
    "check_pinned",
    "pin",
    "refuse_fields",
    "take_fields",
]

_ROWS_PER_WINDOW = 4_096
_COMMIT = re.compile(r"[0-9a-f]{40}")

_lock = threading.Lock()
_models: dict[tuple[Any, ...], Model] = {}


class AnswerOptions(Options, total=False):
    """The keyword arguments of an adapter: those of assay.load, and those of Annotation."""

    columns: Sequence[str] | None
    scale: Sequence[float] | None
    threshold: Threshold | None
    on_error: Literal["raise", "null"]
    truncate: bool


class ReadOptions(AnswerOptions, total=False):
    """The keyword arguments of an adapter that reads one column, `text`, or two, `pair`."""

    text: str | None
    pair: tuple[str, str] | None


@dataclass(frozen=True)
class Annotation:
    """What an adapter asks of a bundle.

    Attributes:
        bundle: Its folder, its name on the Hub, or a loaded model (which stays in this process).
        columns: Of "label", "labels" (those that a row of a multi-label bundle has), "score" (the best label's, or the
            regression's), "scores" (a dict of label to probability) and "evol_complexity". By default label and score,
            for a multi-label bundle labels and scores, and for a regression score.
        scale: (min, max) of a regression's score, as in Scorer.score.
        threshold: The least probability of a label that a row of a multi-label bundle has, as in Classifier.predict.
        on_error: "raise", or "null" for None in the new columns of a row without an answer, and an "error" column that
            says why.
        truncate: Cut texts that the bundle would refuse as too long.
        options: Those of assay.load. The mode is "throughput" unless they say otherwise.
    """

    bundle: str | os.PathLike[str] | Model
    columns: Sequence[str] | None = None
    scale: Sequence[float] | None = None
    threshold: Threshold | None = None
    on_error: Literal["raise", "null"] = "raise"
    truncate: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, bundle: str | os.PathLike[str] | Model, options: Mapping[str, Any]) -> Self:
        """Return the Annotation of an adapter's keyword arguments, except text and pair."""
        names = ("columns", "scale", "threshold", "on_error", "truncate")
        own = {name: options[name] for name in names if name in options}
        return cls(bundle, **own, options={name: value for name, value in options.items() if name not in names})

    def __post_init__(self) -> None:
        if self.on_error not in ("raise", "null"):
            raise InputError(f"on_error is {self.on_error!r:.80}, expected 'raise' or 'null'")
        check_flag(self.truncate, "truncate")

    def answer(self, texts: Sequence[object], pairs: Sequence[object] | None = None) -> dict[str, list[Any]]:
        """Return the new columns for n rows, each a list of n plain values, None where a row failed.

        Args:
            texts: The cells of the first column.
            pairs: The cells of the second, for a bundle of pairs.

        Raises:
            InputError: A cell is not a text (with the row), or the bundle reads pairs and got texts, or the reverse.
            NumericalError: As Model.logits.
        """
        model = self.model()
        if (model.manifest.input == "pair") != (pairs is not None):
            found, expected = ("one column", "two: it reads pairs") if pairs is None else ("two", "one: it reads texts")
            raise InputError(f"found {found}, expected for this bundle {expected} (text=FIELD or pair=(FIELD, FIELD))")
        columns.check_scale(model, self.scale)
        check_threshold(self.threshold, model.manifest)
        names = [name for name in self.names() if name != ERROR]
        made: dict[str, list[Any]] = {name: [] for name in self.names()}
        start = 0
        for answered in self._answer_windows(model, self._check_rows(model, texts, pairs)):
            if answered.errors and self.on_error == "raise":
                raise _locate_first(answered.errors, start)
            errors = answered.errors if self.on_error == "null" else None
            for name, values in columns.tabulate(names, model, answered, self.scale, self.threshold, errors).items():
                made[name] += values
            start += len(answered)
        return made

    def names(self) -> tuple[str, ...]:
        """Return the new columns in their order. Loads the model.

        Raises:
            InputError: The bundle does not answer one of them.
        """
        return self.name_columns(self.model().manifest)

    def name_columns(self, manifest: Manifest) -> tuple[str, ...]:
        """Return what `names` returns for the bundle with this manifest, without loading it."""
        names = columns.choose(manifest, self.columns)
        return (*names, ERROR) if self.on_error == "null" else names

    def model(self) -> Model:
        """Return the model, loaded once in this process for all annotations with the same bundle and options."""
        if isinstance(self.bundle, Model):
            return self.bundle
        options = {"mode": "throughput", **self.options}
        try:
            key = (os.fspath(self.bundle), *sorted(options.items()))
            hash(key)
        except TypeError:  # no path, or no option: load reports it
            return load(self.bundle, **options)
        with _lock:
            if key not in _models:
                _models[key] = load(self.bundle, **options)
            return _models[key]

    def _check_rows(
        self, model: Model, texts: Sequence[object], pairs: Sequence[object] | None
    ) -> list[Row | AssayError]:
        """Return each row, or why it is none. Raises it where on_error is "raise", before anything runs."""
        rows: list[Row | AssayError] = []
        cells: Iterator[object] = iter(texts) if pairs is None else zip(texts, pairs, strict=True)
        for index, cell in enumerate(cells):
            try:
                rows.append(check_row(cell, model.manifest.input, "the row", None))
            except InputError as error:
                if self.on_error == "raise":
                    raise _locate_first({index: error}, 0) from error
                rows.append(error)
        return rows

    def _answer_windows(self, model: Model, rows: Sequence[Row | AssayError]) -> Iterator[Answered]:
        starts = range(0, len(rows), _ROWS_PER_WINDOW)
        return answer_windows(
            model, (rows[start : start + _ROWS_PER_WINDOW] for start in starts), truncate=self.truncate
        )


def take_fields(options: dict[str, Any]) -> tuple[str, ...]:
    """Remove text and pair from an adapter's keyword arguments, and return the one or two columns to read.

    Raises:
        InputError: Both are given, or neither, or one is not the name of a column or of two.
    """
    text, pair = options.pop("text", None), options.pop("pair", None)
    if (text is None) == (pair is None):
        raise InputError("found text and pair or neither, expected text=FIELD or pair=(FIELD, FIELD)")
    if pair is None:
        if not isinstance(text, str):
            raise InputError(f"text is {describe(text)}, expected the name of a column")
        return (text,)
    if not isinstance(pair, tuple | list) or len(pair) != 2 or not all(isinstance(name, str) for name in pair):
        raise InputError(f"pair is {describe(pair)}, expected the names of two columns")
    return tuple(pair)


def refuse_fields(options: dict[str, Any]) -> None:
    """Remove text and pair from an adapter's keyword arguments; InputError where one is given for a Series."""
    if any(options.pop(name, None) is not None for name in ("text", "pair")):
        raise InputError("found a Series and text or pair, expected these only with a DataFrame")


def check_columns(present: Sequence[str], new: Sequence[str], read: Sequence[str] = ()) -> None:
    """Raise InputError where a column to `read` is missing from `present`, or a `new` one is there already."""
    missing = next((name for name in read if name not in present), None)
    if missing is not None:
        raise InputError(f"column {missing!r:.80} is missing, found {', '.join(map(repr, present)):.300}; name another")
    taken = next((name for name in new if name in present), None)
    if taken is not None:
        raise InputError(f"column {taken!r} is there already, expected none; rename it or ask for other columns")


def pin(bundle: str | os.PathLike[str], options: Mapping[str, Any]) -> tuple[str, dict[str, Any], Manifest]:
    """Return `bundle`, `options` and the manifest such that every process loads the same bundle, wherever it runs.

    A folder becomes an absolute path. A revision on the Hub becomes the commit that it is now. Only the manifest is
    read.

    Args:
        bundle: The folder or the name on the Hub.
        options: Those of assay.load.
    """
    found = open_bundle(bundle, options.get("revision"), options.get("local_files_only", False))
    if found.revision is None:
        return str(found.folder.absolute()), dict(options), found.manifest
    return os.fspath(bundle), {**options, "revision": found.revision}, found.manifest


def check_pinned(bundle: str | os.PathLike[str], options: Mapping[str, Any], how: str) -> None:
    """Raise InputError where `bundle` is on the Hub and `options` have no commit; `how` says how to pin it."""
    revision = options.get("revision")
    if isinstance(revision, str) and _COMMIT.fullmatch(revision):
        return
    if open_bundle(bundle, revision, options.get("local_files_only", False)).revision is not None:
        raise InputError(
            f"{bundle}: is a bundle on the Hub without a commit, so that two workers could load different ones; {how}"
        )


def _locate_first(errors: Mapping[int, AssayError], start: int) -> AssayError:
    """Return the first of `errors` with its row, whose index counts from `start`."""
    index = min(errors)
    error = errors[index]
    kind = NumericalError if isinstance(error, NumericalError) else InputError
    located = kind(f"row {start + index}: {error}", row=start + index)
    located.__cause__ = error
    return located


def _replace_lock() -> None:
    """In the child of a fork, whose parent may hold the lock in another thread. The models work: assay.ort.forking."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_replace_lock)
