"""The head of a SetFit model as one linear layer, by the probabilities it gives: scikit-learn's or SetFit's own."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from assay_export.checkpoint.setfit.pickled import LabelBinarizer, LogisticRegression, MultiOutput, OneVsRest, load
from assay_export.checkpoint.setfit.tensors import Linear, SetFitHead
from assay_export.errors import CheckpointError

__all__ = ["LinearHead", "read_linear_head"]

_Array = npt.NDArray[Any]


@dataclass(frozen=True)
class LinearHead:
    """A linear layer over embeddings whose activation gives the probabilities of the head.

    Attributes:
        weight: float32 [labels, channels].
        bias: float32 [labels].
        classes: What the head calls the labels: text, or numbers that count SetFit's own list of labels.
        activation: "softmax" for one label of several, "sigmoid" for labels of their own.
    """

    weight: _Array
    bias: _Array
    classes: tuple[str | int, ...]
    activation: Literal["softmax", "sigmoid"]


def read_linear_head(path: Path) -> LinearHead:
    """Read model_head.pkl.

    Raises:
        CheckpointError: It is damaged, holds something else than logistic regressions or a SetFitHead, or one whose
            probabilities are no softmax or sigmoid of a linear layer.
    """
    stored = load(path)
    try:
        if isinstance(stored, LogisticRegression):
            head = _read_single(stored)
        elif isinstance(stored, OneVsRest | MultiOutput):
            head = _read_multi(stored)
        elif isinstance(stored, SetFitHead):
            head = _read_torch(stored)
        else:
            found = type(stored).__name__
            raise CheckpointError(f"it holds a {found}, expected a LogisticRegression of scikit-learn or a SetFitHead")
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    if not (np.isfinite(head.weight).all() and np.isfinite(head.bias).all()):
        raise CheckpointError(f"{path}: the coefficients have NaN or infinity, expected numbers: train the head again")
    return head


def _read_single(stored: LogisticRegression) -> LinearHead:
    weight, bias, classes = _read_fit(stored)
    count = len(classes)
    if count == 2 and len(weight) == 1:
        weight, bias = _read_binary(stored)
        weight, bias = np.stack([np.zeros_like(weight), weight]), np.stack([np.zeros_like(bias), bias])
    elif count < 3 or len(weight) != count:
        raise CheckpointError(f"coef_ has {len(weight)} rows for {count} classes, expected one for each class")
    elif _is_one_vs_rest(stored):
        raise CheckpointError(
            "the LogisticRegression has a classifier for each of its classes (multi_class='ovr' or "
            "solver='liblinear'), whose probabilities are no softmax; train it with the solver 'lbfgs'"
        )
    return LinearHead(weight.astype(np.float32), bias.astype(np.float32), classes, "softmax")


def _read_multi(stored: OneVsRest | MultiOutput) -> LinearHead:
    """Read one classifier for each label, of the multi_target_strategy "one-vs-rest" or "multi-output"."""
    if isinstance(stored, OneVsRest):
        binarizer = stored.state.get("label_binarizer_")
        kind = binarizer.state.get("y_type_") if isinstance(binarizer, LabelBinarizer) else None
        if not str(kind).startswith("multilabel"):
            raise CheckpointError(
                f"the OneVsRestClassifier was trained on {kind!r:.40} targets, expected several labels for each text: "
                "train a LogisticRegression for one label of several"
            )
    estimators = stored.state.get("estimators_")
    if not isinstance(estimators, list) or len(estimators) < 2:
        raise CheckpointError("it has fewer than two classifiers, expected one for each of several labels")
    parts = []
    for estimator in estimators:
        if not isinstance(estimator, LogisticRegression):
            raise CheckpointError(
                f"one of its classifiers is a {type(estimator).__name__}, expected LogisticRegression"
            )
        _, _, classes = _read_fit(estimator)
        if len(classes) != 2:
            raise CheckpointError(f"one of its classifiers knows {len(classes)} classes, expected two: no and yes")
        parts.append(_read_binary(estimator))
    weights, biases = zip(*parts, strict=True)
    if len({len(weight) for weight in weights}) != 1:
        raise CheckpointError("its classifiers read embeddings of different widths: train the head again")
    weight, bias = np.stack(weights), np.stack(biases)
    return LinearHead(weight.astype(np.float32), bias.astype(np.float32), tuple(range(len(parts))), "sigmoid")


def _read_torch(stored: SetFitHead) -> LinearHead:
    """Read a differentiable head: its probabilities are those of the layer's outputs over temperature + eps."""
    modules = stored.state.get("_modules")
    linear = modules.get("linear") if isinstance(modules, dict) else None
    parameters = linear.state.get("_parameters") if isinstance(linear, Linear) else None
    arrays = parameters if isinstance(parameters, dict) else {}
    weight, bias = (getattr(arrays.get(name), "array", None) for name in ("weight", "bias"))
    if not isinstance(weight, np.ndarray) or weight.ndim != 2 or len(weight) < 2:
        raise CheckpointError("the SetFitHead has no linear layer with a weight for each of two labels or more")
    if arrays.get("bias") is None:
        bias = np.zeros(len(weight))
    if not isinstance(bias, np.ndarray) or bias.shape != weight.shape[:1]:
        found = list(bias.shape) if isinstance(bias, np.ndarray) else "none"
        raise CheckpointError(
            f"the weight has the shape {list(weight.shape)} and the bias {found}, expected [labels, channels] and "
            "[labels]"
        )
    temperature, eps = (_read_number(stored, name) for name in ("temperature", "eps"))
    scale = temperature + eps
    if scale == 0:
        raise CheckpointError("the SetFitHead divides by temperature + eps, which is 0: train it with another one")
    multitarget = stored.state.get("multitarget")
    if not isinstance(multitarget, bool):
        raise CheckpointError(f"the SetFitHead has multitarget = {multitarget!r:.40}, expected true or false")
    with np.errstate(over="ignore"):  # infinity is refused where all heads are
        weight, bias = ((array.astype(np.float64) / scale).astype(np.float32) for array in (weight, bias))
    return LinearHead(weight, bias, tuple(range(len(weight))), "sigmoid" if multitarget else "softmax")


def _read_number(stored: SetFitHead, name: str) -> float:
    value = stored.state.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise CheckpointError(f"the SetFitHead has {name} = {value!r:.40}, expected a number: save it with SetFit 1.0")
    return value


def _read_fit(stored: LogisticRegression) -> tuple[_Array, _Array, tuple[str | int, ...]]:
    """Return coefficients [rows, channels], intercepts [rows] and classes, which must fit each other."""
    found = {}
    for name in ("coef_", "intercept_", "classes_"):
        array = getattr(stored.state.get(name), "array", None)
        if not isinstance(array, np.ndarray):
            raise CheckpointError(f"the LogisticRegression has no array {name}: it was not trained")
        found[name] = array
    weight, bias, classes = found["coef_"], found["intercept_"], found["classes_"]
    if weight.ndim != 2 or bias.shape != weight.shape[:1] or classes.ndim != 1:
        raise CheckpointError(
            f"coef_ has the shape {list(weight.shape)}, intercept_ {list(bias.shape)} and classes_ "
            f"{list(classes.shape)}, expected [rows, channels], [rows] and [classes]"
        )
    if classes.dtype.kind not in "Uiub":
        raise CheckpointError(f"classes_ has the type {classes.dtype}, expected text or whole numbers")
    if weight.dtype.kind != "f" or bias.dtype.kind != "f":
        raise CheckpointError(f"coef_ has the type {weight.dtype}, expected floating-point numbers")
    names = tuple(str(name) if classes.dtype.kind == "U" else int(name) for name in classes)
    return weight, bias, names


def _read_binary(stored: LogisticRegression) -> tuple[_Array, _Array]:
    """Return the weight [channels] and bias of the logit whose sigmoid is the probability of the second class."""
    weight, bias, _ = _read_fit(stored)
    if len(weight) != 1:
        raise CheckpointError(f"coef_ has {len(weight)} rows for two classes, expected one")
    # A multinomial fit of two classes is the softmax of the logit and its opposite.
    factor = 2 if stored.state.get("multi_class") == "multinomial" else 1
    return weight[0] * factor, bias[0] * factor


def _is_one_vs_rest(stored: LogisticRegression) -> bool:
    """Decide as predict_proba of scikit-learn before 1.8 does; since then there is no multi_class, and no choice."""
    kind = stored.state.get("multi_class", "multinomial")
    return kind in ("ovr", "warn") or (kind in ("auto", "deprecated") and stored.state.get("solver") == "liblinear")
