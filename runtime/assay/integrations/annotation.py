"""What every adapter shares: from the cells of a column, or of two, to new columns. No library but numpy is known here.

A worker process loads a bundle once and keeps it. What travels to it is an Annotation: a path and options.
"""

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from assay.bundle.hub import open_bundle
from assay.bundle.manifest import Manifest
from assay.errors import AssayError, InputError, NumericalError
from assay.inputs.validation import Row, check_flag, check_row, describe
from assay.loading import load
from assay.models import columns
from assay.models.base import Model
from assay.models.columns import ERROR
from assay.models.scorer import Scorer
from assay.models.streaming import answer_windows

__all__ = ["Annotation", "check_taken", "fields", "pinned"]

_ROWS_PER_WINDOW = 4_096

_lock = threading.Lock()
_models: dict[tuple[Any, ...], Model] = {}


@dataclass(frozen=True)
class Annotation:
    """What is asked of a bundle.

    bundle: its folder, or a model that is loaded (which stays in this process).
    columns: of "label", "score" (the best label's, or the regression's), "scores" (a dict of label to probability) and
        "evol_complexity"; by default label and score, or score.
    scale: (min, max) of a regression's score, as in Scorer.score.
    on_error: "raise", or "null": a row without an answer has None in the new columns, and "error" says why.
    truncate: cut texts that the bundle would refuse as too long.
    options: those of assay.load; mode is "throughput" where they do not say otherwise.
    """

    bundle: str | os.PathLike[str] | Model
    columns: Sequence[str] | None = None
    scale: Sequence[float] | None = None
    on_error: Literal["raise", "null"] = "raise"
    truncate: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.on_error not in ("raise", "null"):
            raise InputError(f"on_error is {self.on_error!r:.80}, expected 'raise' or 'null'")
        check_flag(self.truncate, "truncate")

    def answers(self, texts: Sequence[object], pairs: Sequence[object] | None = None) -> dict[str, list[Any]]:
        """The new columns for n rows, each a list of n: plain str, float, int, dict, and None where a row failed.

        `texts` and, for a bundle of pairs, `pairs` are the cells. Raises InputError, with the row, for what is no text,
        and where the bundle reads pairs and was given none, or the reverse; else as Model.logits.
        """
        model, wanted = self.model(), [name for name in self.names() if name != ERROR]
        if (model.manifest.input == "pair") != (pairs is not None):
            found, expected = ("one column", "two: it reads pairs") if pairs is None else ("two", "one: it reads texts")
            raise InputError(f"found {found}, expected for this bundle {expected} (text=FIELD or pair=(FIELD, FIELD))")
        if isinstance(model, Scorer):
            model.scores(np.empty((0, 1), np.float32), self.scale)  # refuses a wrong scale before anything runs
        elif self.scale is not None:
            raise InputError(f"scale is {describe(self.scale)}, expected none: this bundle classifies")
        rows, errors = self._rows(model, texts, pairs)
        good = [index for index in range(len(texts)) if index not in errors]
        logits = np.full((len(texts), len(model.labels)), np.nan, np.float32)
        for start, answered in self._windows(model, good, rows):
            indices = good[start : start + len(answered.logits)]
            logits[indices] = answered.logits
            errors |= {indices[position]: error for position, error in answered.errors.items()}
        if errors and self.on_error == "raise":
            _raise_first(errors)
        good = [index for index in range(len(texts)) if index not in errors]
        made: dict[str, list[Any]] = {name: [None] * len(texts) for name in wanted}
        for name in wanted:
            for index, value in zip(good, columns.values(name, model, logits[good], self.scale), strict=True):
                made[name][index] = value
        if self.on_error == "null":
            said = {index: columns.error_text(error) for index, error in errors.items()}
            made[ERROR] = [said.get(index) for index in range(len(texts))]
        return made

    def names(self) -> tuple[str, ...]:
        """The new columns in their order. Loads the model. Raises InputError for one that it does not answer."""
        wanted = columns.chosen(self.model().manifest, self.columns)
        return (*wanted, ERROR) if self.on_error == "null" else wanted

    def model(self) -> Model:
        """The model, loaded once in this process for all annotations with the same bundle and options."""
        if isinstance(self.bundle, Model):
            return self.bundle
        options = {"mode": "throughput", **self.options}
        try:
            key = (os.fspath(self.bundle), *sorted(options.items()))
            hash(key)
        except TypeError:  # what is no path and no option: load says so
            return load(self.bundle, **options)
        with _lock:
            if key not in _models:
                _models[key] = load(self.bundle, **options)
            return _models[key]

    def _rows(
        self, model: Model, texts: Sequence[object], pairs: Sequence[object] | None
    ) -> tuple[dict[int, Row], dict[int, AssayError]]:
        rows: dict[int, Row] = {}
        errors: dict[int, AssayError] = {}
        cells: Iterator[object] = iter(texts) if pairs is None else zip(texts, pairs, strict=True)
        for index, cell in enumerate(cells):
            try:
                rows[index] = check_row(cell, model.manifest.input, "the row", None)
            except InputError as error:
                errors[index] = error
                if self.on_error == "raise":
                    break  # nothing is run for an answer that will not be given
        if errors and self.on_error == "raise":
            _raise_first(errors)
        return rows, errors

    def _windows(self, model: Model, good: Sequence[int], rows: Mapping[int, Row]) -> Iterator[tuple[int, Any]]:
        starts = range(0, len(good), _ROWS_PER_WINDOW)
        windows = ([rows[index] for index in good[start : start + _ROWS_PER_WINDOW]] for start in starts)
        yield from zip(starts, answer_windows(model, windows, truncate=self.truncate), strict=True)


def fields(text: object, pair: object) -> tuple[str, ...]:
    """The names of the one or two columns to read. Raises InputError unless exactly one of the two is given."""
    if (text is None) == (pair is None):
        raise InputError("found text and pair or neither, expected text=FIELD or pair=(FIELD, FIELD)")
    if pair is None:
        if not isinstance(text, str):
            raise InputError(f"text is {describe(text)}, expected the name of a column")
        return (text,)
    if not isinstance(pair, tuple | list) or len(pair) != 2 or not all(isinstance(name, str) for name in pair):
        raise InputError(f"pair is {describe(pair)}, expected the names of two columns")
    return tuple(pair)


def check_taken(present: Sequence[str], wanted: Sequence[str], read: Sequence[str] = ()) -> None:
    """Raise InputError where a column that is to be read is absent, or one to be written is there already."""
    absent = next((name for name in read if name not in present), None)
    if absent is not None:
        raise InputError(
            f"no column {absent!r:.80}, found {', '.join(map(repr, present)):.300}; name one that is there"
        )
    taken = next((name for name in wanted if name in present), None)
    if taken is not None:
        raise InputError(f"a column {taken!r} is there already, expected none; rename it or ask for other columns")


def pinned(bundle: str | os.PathLike[str], options: Mapping[str, Any]) -> tuple[str, dict[str, Any], Manifest]:
    """`bundle`, the `options` of assay.load and the manifest, for other processes to load the same, wherever they run.

    A folder becomes an absolute path, a revision on the Hub the commit that it is now. Loads nothing but the manifest.
    """
    opened = open_bundle(bundle, options.get("revision"), options.get("local_files_only", False))
    if opened.revision is None:
        return str(opened.folder.absolute()), dict(options), opened.manifest
    return os.fspath(bundle), {**options, "revision": opened.revision}, opened.manifest


def _raise_first(errors: Mapping[int, AssayError]) -> None:
    index = min(errors)
    error = errors[index]
    kind = NumericalError if isinstance(error, NumericalError) else InputError
    raise kind(f"row {index}: {error}", row=index) from error


def _after_fork() -> None:
    """Another thread of the parent may have held the lock. The models are still good: assay/forking.py."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
