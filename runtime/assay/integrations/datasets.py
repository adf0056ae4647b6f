"""Hugging Face datasets: ds.map(Annotator(...), batched=True, num_proc=N)."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from assay.errors import InputError
from assay.integrations.annotation import Annotation, check_taken, fields, pinned
from assay.models.columns import ERROR, chosen
from assay.optional_packages import require

__all__ = ["Annotator"]

datasets = require("datasets", "datasets", "assay.integrations.datasets")


class Annotator:
    """A callable for ds.map with batched=True. It pickles as options: every process loads the model once for itself.

    datasets names its cache by what a function pickles to. The seal of the bundle's manifest, which covers the hashes
    of all of its files, is part of that: another bundle in the same folder is another function, the same one a cache
    hit.
    """

    def __init__(
        self,
        bundle: str | os.PathLike[str],
        *,
        text: str | None = None,
        pair: tuple[str, str] | None = None,
        columns: Sequence[str] | None = None,
        scale: Sequence[float] | None = None,
        on_error: Literal["raise", "null"] = "raise",
        truncate: bool = False,
        **options: Any,
    ) -> None:
        """`text` or `pair` names the columns to read; the rest is as in columns.Annotation.

        Give `threads`, of assay.load, together with num_proc: each process takes all usable cores otherwise.
        """
        path, options, manifest = pinned(bundle, options)
        self._read = fields(text, pair)
        self._names = chosen(manifest, columns)
        self._labels = manifest.labels
        self._seal = manifest.document["sha256"]
        self._asked = Annotation(path, self._names, scale, on_error, truncate, options)

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """The new columns of a batch. Raises InputError, with the row's place in this batch."""
        check_taken(list(batch), self._asked.names(), self._read)
        cells = [batch[name] for name in self._read]
        if any(isinstance(column, str) or not isinstance(column, Iterable) for column in cells):
            raise InputError("found one row, expected a batch of rows: ds.map(..., batched=True)")
        return self._asked.answers(*(list(column) for column in cells))

    def features(self, dataset: Any) -> Any:
        """The features of `dataset` with the new columns: for ds.map(..., features=...).

        Needed with on_error="null": datasets takes the types from the first batch, where all of "error" may be None.
        """
        value = datasets.Value
        types = {
            "label": value("string"),
            "score": value("float32"),
            "scores": {label: value("float32") for label in self._labels},
            "evol_complexity": value("int64"),
            ERROR: value("string"),
        }
        wanted = (*self._names, ERROR) if self._asked.on_error == "null" else self._names
        return datasets.Features({**dataset.features, **{name: types[name] for name in wanted}})
