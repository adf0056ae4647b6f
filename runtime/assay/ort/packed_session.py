"""Run a graph of the kernels dialect: rows of any lengths lie end to end, and nothing is padded."""

from collections.abc import Sequence

import numpy as np

from assay.inputs.tokenization import Tokens
from assay.ort.session import Float32, GraphSession, check_logits, explain_failed_run

__all__ = ["PackedSession"]


class PackedSession(GraphSession):
    """A packed graph loaded on the CPU. A row's answer does not depend on the other rows of its call."""

    def answer(self, tokens: Sequence[Tokens]) -> Float32:
        """Return the logits [rows, labels] of rows of any lengths.

        Raises:
            ProviderError: The run failed.
            BundleError: The graph rejects these ids or returned another shape.
        """
        row_starts = np.zeros(len(tokens) + 1, dtype=np.int64)
        np.cumsum([len(row.ids) for row in tokens], out=row_starts[1:])
        input_ids = np.concatenate([row.ids for row in tokens])
        values = {"input_ids": input_ids, "row_starts": row_starts}
        if "token_type_ids" in self._inputs:
            values["token_type_ids"] = np.concatenate([row.type_ids for row in tokens])
        try:
            (logits,) = self._session.run(["logits"], values)
        except Exception as error:
            raise explain_failed_run(self._ort, error, self._path, input_ids.shape, self._device) from error
        return check_logits(logits, self._path, len(tokens), self._labels)
