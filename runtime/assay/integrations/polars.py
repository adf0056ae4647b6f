"""Columns of polars: a Series or a DataFrame in, a DataFrame of the new columns out."""

import os
from collections.abc import Sequence
from typing import Any, Literal

from assay.errors import InputError
from assay.inputs.validation import describe
from assay.integrations.annotation import Annotation, check_taken, fields
from assay.models.base import Model
from assay.optional_packages import require

__all__ = ["annotate"]

polars = require("polars", "polars", "assay.integrations.polars")


def annotate(
    data: Any,
    bundle: str | os.PathLike[str] | Model,
    *,
    text: str | None = None,
    pair: tuple[str, str] | None = None,
    columns: Sequence[str] | None = None,
    scale: Sequence[float] | None = None,
    on_error: Literal["raise", "null"] = "raise",
    truncate: bool = False,
    **options: Any,
) -> Any:
    """The new columns of `data`, a polars DataFrame, for df.hstack; `.to_struct()` makes one Series of it.

    `data` is a Series of texts, or a DataFrame of which `text` or `pair` names the columns; collect a LazyFrame first.
    "scores" is a struct with a field per label. The rest is as in columns.Annotation; `bundle` may also be a loaded
    model. A null is no text.

    Raises InputError, with the row's position, and what assay.load raises.
    """
    asked = Annotation(bundle, columns, scale, on_error, truncate, options)
    if isinstance(data, polars.Series):
        if text is not None or pair is not None:
            raise InputError("found a Series and text or pair, expected these for a DataFrame only")
        cells = [data.to_list()]
    elif isinstance(data, polars.DataFrame):
        read = fields(text, pair)
        check_taken(data.columns, asked.names(), read)
        cells = [data[name].to_list() for name in read]
    else:
        raise InputError(f"data is {describe(data)}, expected a polars Series or DataFrame")
    answers = asked.answers(*cells)
    types = {
        "label": polars.String,
        "score": polars.Float32,
        "scores": polars.Struct(dict.fromkeys(asked.model().labels, polars.Float32)),
        "evol_complexity": polars.Int64,
        "error": polars.String,
    }
    return polars.DataFrame(answers, schema={name: types[name] for name in answers})
