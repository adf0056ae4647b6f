"""Ray Data: ds.map_batches(Annotator, fn_constructor_kwargs={...}, concurrency=N, num_cpus=M)."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from assay.integrations.annotation import Annotation, check_taken, fields
from assay.optional_packages import require

__all__ = ["Annotator"]

ray = require("ray", "'ray[data]'", "assay.integrations.ray")


class Annotator:
    """What Ray constructs once in each worker, which keeps the model, and calls with every batch."""

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

        `threads`, of assay.load, is by default the CPUs that Ray gives the worker (num_cpus), at least 1.
        """
        self._read = fields(text, pair)
        options = {"threads": _cpus(), **options}
        self._asked = Annotation(bundle, columns, scale, on_error, truncate, options)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """`batch`, arrays of n by name, with the new columns.

        score is float32, NaN for a row without an answer; evol_complexity int64, or with on_error="null" float64, NaN
        for such a row; the others are objects. Raises InputError, with the row's place in this batch.
        """
        check_taken(list(batch), self._asked.names(), self._read)
        answers = self._asked.answers(*(batch[name].tolist() for name in self._read))
        return {**batch, **{name: self._array(name, values) for name, values in answers.items()}}

    def _array(self, name: str, values: list[Any]) -> Any:
        if name == "score":
            return np.array(values, dtype=np.float32)  # None is NaN
        if name == "evol_complexity":
            return np.array(values, dtype=np.int64 if self._asked.on_error == "raise" else np.float64)
        array = np.empty(len(values), dtype=object)
        array[:] = values
        return array


def _cpus() -> int | None:
    """The CPUs of this worker, None outside of one."""
    if not ray.is_initialized() or ray.get_runtime_context().worker.mode != ray.WORKER_MODE:
        return None
    return max(1, int(ray.get_runtime_context().get_assigned_resources().get("CPU", 1)))
