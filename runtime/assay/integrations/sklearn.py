"""scikit-learn: a bundle as a classifier that is trained already, for pipelines, metrics and cross-validation."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from assay.errors import InputError
from assay.inputs.validation import check_batch, check_flag, describe
from assay.integrations.annotation import Annotation
from assay.models.classifier import Classifier
from assay.models.thresholds import Threshold, check_threshold
from assay.optional_packages import require

__all__ = ["BundleClassifier"]

_base = require("sklearn.base", "scikit-learn", "assay.integrations.sklearn")
_ClassifierMixin: Any = _base.ClassifierMixin
_BaseEstimator: Any = _base.BaseEstimator


class BundleClassifier(_ClassifierMixin, _BaseEstimator):
    """A classification bundle as a scikit-learn estimator: predict, predict_proba, score, classes_.

    The model is trained already: `fit` checks its arguments and changes nothing, and the other methods work without it.
    A process loads a bundle once for all estimators with the same parameters, so clones (cross_val_score,
    GridSearchCV over `threshold`) cost nothing.

    X is a list, a Series or an array of texts, or for a bundle of pairs of pairs. A table (DataFrame or array) has one
    column of texts, or two for pairs. The labels that `predict` returns are those of the bundle; for a multi-label
    bundle it returns 0 and 1, int64 [n, labels], as scikit-learn's multi-label classifiers do.
    """

    _estimator_type = "classifier"

    def __init__(
        self,
        bundle: str | os.PathLike[str] | Classifier,
        *,
        truncate: bool = False,
        threshold: Threshold | None = None,
        device: str = "cpu",
        variant: str = "auto",
        threads: int | None = None,
    ) -> None:
        """Take the parameters. The bundle is loaded when it is first needed, in the mode "throughput".

        Args:
            bundle: A folder, a name on the Hub, or a loaded classifier (which `clone` loads again: prefer a folder).
            truncate: Cut texts that the bundle would refuse as too long.
            threshold: As Classifier.predict, for a multi-label bundle.
            device: As assay.load. It and the options below have no effect on a loaded classifier.
            variant: As assay.load.
            threads: As assay.load.
        """
        self.bundle = bundle
        self.truncate = truncate
        self.threshold = threshold
        self.device = device
        self.variant = variant
        self.threads = threads

    @property
    def classes_(self) -> npt.NDArray[np.str_]:
        """The labels in logit order, which is that of the columns of `predict_proba`. It may not be alphabetical."""
        return self._load().classes_

    def fit(self, X: Any, y: Any = None) -> "BundleClassifier":  # noqa: N803  # the names of scikit-learn
        """Check that the bundle can answer X and knows the labels y, and return the estimator unchanged.

        Raises:
            InputError: A row is not a text or a pair; y has another length or a label that the bundle lacks; or a
                parameter is wrong.
            AssayError: What assay.load raises.
        """
        model = self._load()
        rows = check_batch(_list_rows(X), model.manifest.input)
        if y is not None:
            _check_targets(y, len(rows), model)
        return self

    def predict(self, X: Any) -> npt.NDArray[Any]:  # noqa: N803
        """Return the best label of each row, str [n], or for a multi-label bundle 0 or 1 per label, int64 [n, labels].

        Raises:
            InputError: A row is not a text or a pair, or is too long; with the row's index.
            NumericalError: A logit is NaN or infinite; with the row's index.
        """
        model = self._load()
        limits = check_threshold(self.threshold, model.manifest)
        probabilities = self.predict_proba(X)
        if limits is not None:
            # In float64, as Classifier.predict compares: float32(0.3) is above 0.3.
            return (probabilities.astype(np.float64) >= np.array(limits)).astype(np.int64)
        best: npt.NDArray[np.str_] = model.classes_[probabilities.argmax(axis=1)]
        return best

    def predict_proba(self, X: Any) -> npt.NDArray[np.float32]:  # noqa: N803
        """Return the probabilities of each row, float32 [n, labels], a column per label of `classes_`.

        Raises:
            InputError: As `predict`.
            NumericalError: As `predict`.
        """
        return self._load().predict_proba(_list_rows(X), truncate=self.truncate)

    def __sklearn_is_fitted__(self) -> bool:
        """Return True: a bundle is trained."""
        return True

    def __sklearn_tags__(self) -> Any:
        """Return the tags of scikit-learn: the input is text, and nothing has to be fitted."""
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.no_validation = True
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.classifier_tags.multi_label = True
        return tags

    def _load(self) -> Classifier:
        check_flag(self.truncate, "truncate")
        options = {"device": self.device, "variant": self.variant, "threads": self.threads}
        model = Annotation(self.bundle, options=options).model()
        if not isinstance(model, Classifier):
            raise InputError(
                f"bundle is {model!r}, a regression, expected a classification bundle; use assay.load_scorer"
            )
        return model


def _list_rows(table: Any) -> Any:
    """Return X as a batch: the rows of a table with one column are texts, those of one with two are pairs."""
    if getattr(table, "ndim", 1) != 2:
        return table
    rows = np.asarray(table, dtype=object).tolist()
    return [row[0] for row in rows] if np.shape(table)[1] == 1 else [tuple(row) for row in rows]


def _check_targets(targets: Any, count: int, model: Classifier) -> None:
    """Raise InputError unless `targets` has a label of the model, or 0 or 1 for each of its labels, per row."""
    if isinstance(targets, str) or not (isinstance(targets, Sequence) or hasattr(targets, "__array__")):
        raise InputError(f"y is {describe(targets)}, expected one label per row of X")
    found = np.asarray(targets, dtype=object)
    if len(found) != count:
        raise InputError(f"y has {len(found):,} entries, X has {count:,} rows, expected as many")
    if model.manifest.is_multi_label:
        if found.shape != (count, len(model.labels)) or not all(value in (0, 1) for value in found.flat):
            raise InputError(
                f"y has the shape {list(found.shape)}, expected 0 or 1 for each of {len(model.labels)} labels, "
                "[rows, labels]"
            )
        return
    for index, label in enumerate(found.tolist()):
        if not isinstance(label, str) or label not in model.labels:
            shown = repr(label)[:80] if isinstance(label, str) else describe(label)
            raise InputError(
                f"y, row {index}: found the label {shown}, expected of this bundle {', '.join(model.labels)[:300]}",
                row=index,
            )
