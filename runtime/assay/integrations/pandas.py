"""Columns of pandas: a Series or a DataFrame in, a DataFrame of the new columns with the same index out."""

import os
from typing import Any, Unpack

from assay.errors import InputError
from assay.inputs.validation import describe
from assay.integrations.annotation import Annotation, ReadOptions, check_columns, refuse_fields, take_fields
from assay.models.base import Model
from assay.optional_packages import require

__all__ = ["annotate"]

pandas = require("pandas", "pandas", "assay.integrations.pandas")

# "score" is float32, as the model computes it. Columns that may lack values have a dtype with missing values.
_DTYPES = {"label": "str", "score": "float32", "evol_complexity": "Int64", "error": "str"}


def annotate(data: Any, bundle: str | os.PathLike[str] | Model, **options: Unpack[ReadOptions]) -> Any:
    """Return the new columns of `data`, a pandas DataFrame with its index, for df.join.

    A missing value (None, NaN, NA) is not a text.

    Args:
        data: A Series of texts, or a DataFrame of which `text` or `pair` names the columns.
        bundle: A folder, a name on the Hub, or a loaded model.
        options: text or pair, then the attributes of assay.integrations.annotation.Annotation (columns, scale,
            threshold, on_error, truncate) and the options of assay.load.

    Raises:
        InputError: A cell is not a text (with the row's position), or an argument is wrong.
        AssayError: What assay.load and Model.logits raise.
    """
    given: dict[str, Any] = dict(options)
    if isinstance(data, pandas.Series):
        refuse_fields(given)
        annotation = Annotation.of(bundle, given)
        cells = [data.tolist()]
    elif isinstance(data, pandas.DataFrame):
        read = take_fields(given)
        annotation = Annotation.of(bundle, given)
        check_columns(list(data.columns), annotation.names(), read)
        if any(data.columns.tolist().count(name) > 1 for name in read):
            raise InputError(f"found two columns of one name among {', '.join(map(repr, read))}, expected one each")
        cells = [data[name].tolist() for name in read]
    else:
        raise InputError(f"data is {describe(data)}, expected a pandas Series or DataFrame")
    return pandas.DataFrame(
        {
            name: pandas.Series(values, index=data.index, dtype=_DTYPES.get(name, "object"))
            for name, values in annotation.answer(*cells).items()
        },
        index=data.index,
    )
