"""Columns of pandas: a Series or a DataFrame in, a DataFrame of the new columns with the same index out."""

import os
from collections.abc import Sequence
from typing import Any, Literal

from assay.errors import InputError
from assay.inputs.validation import describe
from assay.integrations.annotation import Annotation, check_taken, fields
from assay.models.base import Model
from assay.optional_packages import require

__all__ = ["annotate"]

pandas = require("pandas", "pandas", "assay.integrations.pandas")

# "score" is float32 as the model gives it. Those that can be missing have a dtype that knows missing values.
_DTYPES = {"label": "str", "score": "float32", "evol_complexity": "Int64", "error": "str"}


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
    """The new columns of `data`, a pandas DataFrame with its index, for df.join.

    `data` is a Series of texts, or a DataFrame of which `text` or `pair` names the columns. The rest is as in
    columns.Annotation; `bundle` may also be a loaded model. A missing value (None, NaN, NA) is no text.

    Raises InputError, with the row's position, and what assay.load raises.
    """
    asked = Annotation(bundle, columns, scale, on_error, truncate, options)
    if isinstance(data, pandas.Series):
        if text is not None or pair is not None:
            raise InputError("found a Series and text or pair, expected these for a DataFrame only")
        cells = [data.tolist()]
    elif isinstance(data, pandas.DataFrame):
        read = fields(text, pair)
        check_taken(list(data.columns), asked.names(), read)
        if any(data.columns.tolist().count(name) > 1 for name in read):
            raise InputError(f"found two columns of one name among {', '.join(map(repr, read))}, expected one each")
        cells = [data[name].tolist() for name in read]
    else:
        raise InputError(f"data is {describe(data)}, expected a pandas Series or DataFrame")
    answers = asked.answers(*cells)
    return pandas.DataFrame(
        {
            name: pandas.Series(values, index=data.index, dtype=_DTYPES.get(name, "object"))
            for name, values in answers.items()
        },
        index=data.index,
    )
