"""datatrove: a filter that keeps documents by the answers of a bundle."""

import os
from collections.abc import Collection, Sequence
from typing import Any, Unpack

from assay.errors import InputError
from assay.inputs.validation import describe
from assay.integrations.annotation import Annotation, AnswerOptions, pin
from assay.models.columns import ERROR
from assay.optional_packages import require

__all__ = ["Filter"]

require("datatrove.pipeline.filters.base_filter", "datatrove", "assay.integrations.datatrove")

from datatrove.pipeline.filters.base_filter import BaseFilter  # noqa: E402  # after the message for where it is missing


class Filter(BaseFilter):
    """A pipeline step that keeps a document if its score or its label is as asked.

    The answers are in the metadata of every document, of those that are dropped too. It pickles as a path and options;
    every process loads the bundle once.
    """

    name = "Assay"

    def __init__(
        self,
        bundle: str | os.PathLike[str],
        *,
        least: float | None = None,
        most: float | None = None,
        labels: Collection[str] | None = None,
        first: str | None = None,
        exclusion_writer: Any = None,
        batch_size: int = 1_024,
        **options: Unpack[AnswerOptions],
    ) -> None:
        """Pin the bundle, without loading it.

        Args:
            bundle: A folder or a name on the Hub.
            least: The least score of a document that is kept.
            most: The highest score of a document that is kept.
            labels: The labels of documents that are kept; of a multi-label bundle, a document needs one of them.
            first: For a bundle of pairs the metadata with the first text; the second is the document's text.
            exclusion_writer: As datatrove's filters: a writer for the documents that are dropped.
            batch_size: How many documents are answered at once.
            options: The attributes of assay.integrations.annotation.Annotation, then the options of assay.load.
                `threads` is 1 by default, because datatrove runs a process per task. With on_error="null" a document
                without an answer is dropped with the reason "error".

        Raises:
            InputError: An option is wrong or not for this bundle.
            BundleError: There is no such bundle.
        """
        super().__init__(exclusion_writer, batch_size)
        path, given, manifest = pin(bundle, {"threads": 1, **options})
        self._annotation = Annotation.of(path, given)
        self._names = self._annotation.name_columns(manifest)
        self._range = (least, most)
        self._label_name = "labels" if manifest.is_multi_label else "label"
        self._labels = None if labels is None else _check_labels(labels, manifest.labels)
        self._first = first
        if least is None and most is None and labels is None:
            raise InputError("found neither least, most nor labels, expected what a document is kept for")
        if (manifest.input == "pair") != (first is not None):
            raise InputError(
                f"first is {describe(first)}, expected "
                + (
                    "the metadata with the first text of a pair"
                    if first is None
                    else "None: this bundle reads one text"
                )
            )
        needed = [] if least is None and most is None else ["score"]
        needed += [] if labels is None else [self._label_name]
        missing = next((name for name in needed if name not in self._names), None)
        if missing is not None:
            raise InputError(
                f"column {missing!r} is not among the answers {', '.join(self._names)}; ask for it in columns"
            )

    def filter(self, doc: Any) -> bool | tuple[bool, str]:
        """Return whether a document is kept, or False and why not."""
        return self.filter_batch([doc])[0]

    def filter_batch(self, batch: Sequence[Any]) -> list[bool | tuple[bool, str]]:
        """Return for each document whether it is kept, or False and why not. The answers become its metadata.

        Raises:
            InputError: A document has no text, or its metadata has one of the answers already.
        """
        texts: list[object] = [doc.text for doc in batch]
        for doc in batch:
            taken = next((name for name in self._names if name in doc.metadata), None)
            if taken is not None:
                raise InputError(f"document {doc.id!r:.80}: has {taken!r} in its metadata already; rename it")
        if self._first is None:
            answers = self._annotation.answer(texts)
        else:
            answers = self._annotation.answer([doc.metadata.get(self._first) for doc in batch], texts)
        results = []
        for row, doc in enumerate(batch):
            found = {name: values[row] for name, values in answers.items()}
            doc.metadata.update(found)
            results.append(self._judge(found))
        return results

    def _judge(self, found: dict[str, Any]) -> bool | tuple[bool, str]:
        if found.get(ERROR) is not None:
            return False, "error"
        least, most = self._range
        if least is not None and found["score"] < least:
            return False, "score_low"
        if most is not None and found["score"] > most:
            return False, "score_high"
        if self._labels is not None:
            has = found[self._label_name]
            if self._labels.isdisjoint([has] if isinstance(has, str) else has):
                return False, "label"
        return True


def _check_labels(labels: object, possible: Sequence[str]) -> frozenset[str]:
    if isinstance(labels, str) or not isinstance(labels, Collection) or not labels:
        raise InputError(f"labels is {describe(labels)}, expected a list of labels")
    wrong = next((label for label in labels if label not in possible), None)
    if wrong is not None:
        raise InputError(f"labels: found {wrong!r:.80}, expected of {', '.join(possible):.400}")
    return frozenset(labels)
