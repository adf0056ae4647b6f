"""Ray Data: ds.map_batches(Annotator, fn_constructor_kwargs=pin_arguments(...), compute=..., num_cpus=M)."""

import os
from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np

from assay.integrations.annotation import Annotation, ReadOptions, check_columns, check_pinned, pin, take_fields
from assay.optional_packages import require

__all__ = ["Annotator", "pin_arguments"]

ray = require("ray", "'ray[data]'", "assay.integrations.ray")


def pin_arguments(bundle: str | os.PathLike[str], **options: Unpack[ReadOptions]) -> dict[str, Any]:
    """Return the arguments of Annotator such that every worker loads the same bundle, for fn_constructor_kwargs.

    A folder becomes an absolute path. A revision on the Hub becomes the commit that it is now. Call it on the driver.

    Args:
        bundle: A folder or a name on the Hub.
        options: As Annotator.

    Raises:
        BundleError: There is no such bundle.
    """
    path, pinned, _ = pin(bundle, options)
    return {"bundle": path, **pinned}


class Annotator:
    """The class that Ray constructs once in each worker, which keeps the model, and calls with every batch."""

    def __init__(self, bundle: str | os.PathLike[str], **options: Unpack[ReadOptions]) -> None:
        """Take the options; the model is loaded for the first batch.

        Args:
            bundle: A folder or a name on the Hub. The latter needs a commit as `revision`: see pin_arguments.
            options: text or pair, the names of the columns to read; then the attributes of
                assay.integrations.annotation.Annotation (columns, scale, threshold, on_error, truncate) and
                the options of assay.load, of which `threads` is by default the CPUs that Ray assigned to the worker
                (num_cpus).

        Raises:
            InputError: An option is wrong, or a bundle on the Hub has no commit.
            BundleError: There is no such bundle.
        """
        given: dict[str, Any] = {"threads": _count_cpus(), **options}
        self._read = take_fields(given)
        check_pinned(bundle, given, "use fn_constructor_kwargs=assay.integrations.ray.pin_arguments(...)")
        self._annotation = Annotation.of(bundle, given)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return `batch`, arrays of n by name, with the new columns.

        score is float32, NaN for a row without an answer; evol_complexity int64, or with on_error="null" float64, NaN
        for such a row; the others are objects. Raises InputError, with the row's place in this batch.
        """
        check_columns(list(batch), self._annotation.names(), self._read)
        answers = self._annotation.answer(*(batch[name].tolist() for name in self._read))
        return {**batch, **{name: self._make_array(name, values) for name, values in answers.items()}}

    def _make_array(self, name: str, values: list[Any]) -> Any:
        if name == "score":
            return np.array(values, dtype=np.float32)  # None becomes NaN
        if name == "evol_complexity":
            return np.array(values, dtype=np.int64 if self._annotation.on_error == "raise" else np.float64)
        array = np.empty(len(values), dtype=object)
        for row, value in enumerate(values):  # an assignment of lists of one length would be one of a matrix
            array[row] = value
        return array


def _count_cpus() -> int | None:
    """Return the CPUs of this worker, at least 1, or None outside of a worker."""
    if not ray.is_initialized() or ray.get_runtime_context().worker.mode != ray.WORKER_MODE:
        return None
    return max(1, int(ray.get_runtime_context().get_assigned_resources().get("CPU", 1)))
