"""Columns of polars: a Series or a DataFrame in, a DataFrame of the new columns out."""

import os
from typing import Any, Unpack

from assay.errors import InputError
from assay.inputs.validation import describe
from assay.integrations.annotation import Annotation, ReadOptions, check_columns, refuse_fields, take_fields
from assay.models.base import Model
from assay.optional_packages import require

__all__ = ["annotate"]

polars = require("polars", "polars", "assay.integrations.polars")


def annotate(data: Any, bundle: str | os.PathLike[str] | Model, **options: Unpack[ReadOptions]) -> Any:
    """Return the new columns of `data`, a polars DataFrame, for df.hstack; `.to_struct()` makes one Series of it.

    "scores" is a struct with a field per label. A null is not a text.

    Args:
        data: A Series of texts, or a DataFrame of which `text` or `pair` names the columns. Collect a LazyFrame first.
        bundle: A folder, a name on the Hub, or a loaded model.
        options: text or pair, then the attributes of assay.integrations.annotation.Annotation (columns, scale,
            threshold, on_error, truncate) and the options of assay.load.

    Raises:
        InputError: A cell is not a text (with the row's position), or an argument is wrong.
        AssayError: What assay.load and Model.logits raise.
    """
    given: dict[str, Any] = dict(options)
    if isinstance(data, polars.Series):
        refuse_fields(given)
        annotation = Annotation.of(bundle, given)
        cells = [data.to_list()]
    elif isinstance(data, polars.DataFrame):
        read = take_fields(given)
        annotation = Annotation.of(bundle, given)
        check_columns(data.columns, annotation.names(), read)
        cells = [data[name].to_list() for name in read]
    else:
        raise InputError(f"data is {describe(data)}, expected a polars Series or DataFrame")
    types = {
        "label": polars.String,
        "labels": polars.List(polars.String),
        "score": polars.Float32,
        "scores": polars.Struct(dict.fromkeys(annotation.model().labels, polars.Float32)),
        "evol_complexity": polars.Int64,
        "error": polars.String,
    }
    answers = annotation.answer(*cells)
    return polars.DataFrame(answers, schema={name: types[name] for name in answers})
