"""Spark: a function for pyspark.ml.functions.predict_batch_udf, and the type of what it returns."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from assay.integrations.annotation import Annotation, pinned
from assay.models.columns import ERROR, chosen
from assay.optional_packages import require

__all__ = ["predict_batch_fn", "return_type"]

pyspark = require("pyspark", "pyspark", "assay.integrations.spark")


def predict_batch_fn(
    bundle: str | os.PathLike[str],
    *,
    columns: Sequence[str] | None = None,
    scale: Sequence[float] | None = None,
    on_error: Literal["raise", "null"] = "raise",
    truncate: bool = False,
    **options: Any,
) -> Callable[[], Callable[..., Mapping[str, Any]]]:
    """What predict_batch_udf takes as make_predict_fn. The UDF is called with one column of texts, or two for pairs.

    The arguments are those of columns.Annotation. The bundle must be at the same path on every machine. `threads`, of
    assay.load, is by default the CPUs of a Spark task (spark.task.cpus).
    """
    path, options, _ = pinned(bundle, options)
    asked = Annotation(path, columns, scale, on_error, truncate, options)

    def make_predict_fn() -> Callable[..., Mapping[str, Any]]:
        context = pyspark.TaskContext.get()
        given = {} if context is None else {"threads": context.cpus()}
        task = Annotation(
            asked.bundle, asked.columns, asked.scale, asked.on_error, asked.truncate, {**given, **asked.options}
        )

        labels = task.model().labels

        def predict(*cells: Any) -> Mapping[str, Any]:
            answers = task.answers(*(column.tolist() for column in cells))
            return {name: _array(name, values, task.on_error, labels) for name, values in answers.items()}

        # Spark counts the parameters to know how many columns there have to be.
        if task.model().manifest.input == "pair":
            return lambda text, text_pair: predict(text, text_pair)
        return lambda text: predict(text)

    return make_predict_fn


def return_type(
    bundle: str | os.PathLike[str],
    *,
    columns: Sequence[str] | None = None,
    on_error: Literal["raise", "null"] = "raise",
    revision: str | None = None,
) -> Any:
    """The StructType of what the UDF returns. Reads the bundle's manifest, on the driver.

    label string; score float; scores array of float in the order of the bundle's labels, NaN for a row without an
    answer; evol_complexity int; with on_error="null" also error string.
    """
    types = require("pyspark.sql.types", "pyspark", "assay.integrations.spark")
    kinds = {
        "label": types.StringType(),
        "score": types.FloatType(),
        "scores": types.ArrayType(types.FloatType()),
        "evol_complexity": types.IntegerType(),
        ERROR: types.StringType(),
    }
    wanted = chosen(pinned(bundle, {"revision": revision})[2], columns)
    return types.StructType(
        [types.StructField(name, kinds[name]) for name in (*wanted, *((ERROR,) if on_error == "null" else ()))]
    )


def _array(name: str, values: list[Any], on_error: str, labels: Sequence[str]) -> Any:
    """`values` as numpy, None where a row has no answer, which Spark makes null, and NaN in the arrays of scores."""
    if name == "scores":
        rows = [dict.fromkeys(labels, np.nan) if value is None else value for value in values]
        return np.array([[row[label] for label in labels] for row in rows], dtype=np.float32)
    if on_error == "raise" and name in ("score", "evol_complexity"):
        return np.array(values, dtype=np.float32 if name == "score" else np.int32)
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
