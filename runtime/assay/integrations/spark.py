"""Spark: a function for pyspark.ml.functions.predict_batch_udf, and the type of what it returns."""

import dataclasses
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Unpack

import numpy as np

from assay.integrations.annotation import Annotation, AnswerOptions, pin
from assay.models.columns import ERROR
from assay.optional_packages import require

__all__ = ["predict_batch_fn", "return_type"]

pyspark = require("pyspark", "pyspark", "assay.integrations.spark")


def predict_batch_fn(
    bundle: str | os.PathLike[str], **options: Unpack[AnswerOptions]
) -> Callable[[], Callable[..., Mapping[str, Any]]]:
    """Return what predict_batch_udf takes as make_predict_fn.

    The UDF is called with one column of texts, or with two for a bundle of pairs.

    Args:
        bundle: A folder, at the same path on every machine, or a name on the Hub.
        options: The attributes of assay.integrations.annotation.Annotation (columns, scale, threshold, on_error,
            truncate) and the options of assay.load, of which `threads` is by default the CPUs of a Spark task
            (spark.task.cpus).

    Raises:
        BundleError: There is no such bundle.
    """
    path, pinned, _ = pin(bundle, options)
    annotation = Annotation.of(path, pinned)

    def make_predict_fn() -> Callable[..., Mapping[str, Any]]:
        context = pyspark.TaskContext.get()
        defaults = {} if context is None else {"threads": context.cpus()}
        task = dataclasses.replace(annotation, options={**defaults, **annotation.options})
        model = task.model()

        def predict(*cells: Any) -> Mapping[str, Any]:
            answers = task.answer(*(column.tolist() for column in cells))
            return {name: _make_array(name, values, task.on_error, model.labels) for name, values in answers.items()}

        # Spark counts the parameters to know how many columns there must be.
        if model.manifest.input == "pair":
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
    """Return the StructType of what the UDF returns. Reads the bundle's manifest, on the driver.

    label string; labels string, a JSON list (predict_batch_udf takes arrays of one length only); score float; scores
    array of float in the order of the bundle's labels, NaN for a row without an answer; evol_complexity int; with
    on_error="null" also error string.
    """
    types = require("pyspark.sql.types", "pyspark", "assay.integrations.spark")
    kinds = {
        "label": types.StringType(),
        "labels": types.StringType(),
        "score": types.FloatType(),
        "scores": types.ArrayType(types.FloatType()),
        "evol_complexity": types.IntegerType(),
        ERROR: types.StringType(),
    }
    path, _, manifest = pin(bundle, {"revision": revision})
    names = Annotation(path, columns, on_error=on_error).name_columns(manifest)
    return types.StructType([types.StructField(name, kinds[name]) for name in names])


def _make_array(name: str, values: list[Any], on_error: str, labels: Sequence[str]) -> Any:
    """Return `values` as numpy: None, which Spark makes null, or in arrays of scores NaN, for a row without answer."""
    if name == "scores":
        rows = [dict.fromkeys(labels, np.nan) if value is None else value for value in values]
        return np.array([[row[label] for label in labels] for row in rows], dtype=np.float32)
    if on_error == "raise" and name in ("score", "evol_complexity"):
        return np.array(values, dtype=np.float32 if name == "score" else np.int32)
    if name == "labels":
        values = [None if value is None else json.dumps(value, ensure_ascii=False) for value in values]
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
