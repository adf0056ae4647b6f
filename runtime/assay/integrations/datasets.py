"""Hugging Face datasets: ds.map(Annotator(...), batched=True, num_proc=N)."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Unpack

from assay.errors import InputError
from assay.integrations.annotation import Annotation, ReadOptions, check_columns, pin, take_fields
from assay.models.columns import ERROR
from assay.optional_packages import require

__all__ = ["Annotator"]

datasets = require("datasets", "datasets", "assay.integrations.datasets")


class Annotator:
    """A callable for ds.map with batched=True. It pickles as options: every process loads the model once.

    datasets names its cache by the pickle of a function. The seal of the bundle's manifest, which covers the hashes of
    all of its files, is part of that pickle: another bundle in the same folder is another function, and the same bundle
    is a cache hit.
    """

    def __init__(self, bundle: str | os.PathLike[str], **options: Unpack[ReadOptions]) -> None:
        """Pin the bundle, without loading it.

        With num_proc pass `threads` as well: otherwise each process takes all usable cores.

        Args:
            bundle: A folder or a name on the Hub.
            options: text or pair, the names of the columns to read; then the attributes of
                assay.integrations.annotation.Annotation (columns, scale, threshold, on_error, truncate) and
                the options of assay.load.

        Raises:
            InputError: An option is wrong.
            BundleError: There is no such bundle.
        """
        given: dict[str, Any] = dict(options)
        self._read = take_fields(given)
        path, given, manifest = pin(bundle, given)
        annotation = Annotation.of(path, given)
        self._names = annotation.name_columns(manifest)
        self._labels = manifest.labels
        self._seal = manifest.document["sha256"]
        self._annotation = annotation

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """Return the new columns of a batch. Raises InputError, with the row's place in this batch."""
        check_columns(list(batch), self._names, self._read)
        cells = [batch[name] for name in self._read]
        if any(isinstance(column, str) or not isinstance(column, Iterable) for column in cells):
            raise InputError("found one row, expected a batch of rows: ds.map(..., batched=True)")
        return self._annotation.answer(*(list(column) for column in cells))

    def features(self, dataset: Any) -> Any:
        """Return the features of `dataset` with the new columns, for ds.map(..., features=...).

        on_error="null" needs them: datasets takes the types from the first batch, where all of "error" may be None.
        """
        value = datasets.Value
        types = {
            "label": value("string"),
            "labels": datasets.List(value("string")),
            "score": value("float32"),
            "scores": {label: value("float32") for label in self._labels},
            "evol_complexity": value("int64"),
            ERROR: value("string"),
        }
        return datasets.Features({**dataset.features, **{name: types[name] for name in self._names}})
