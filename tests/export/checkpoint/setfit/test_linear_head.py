"""A head as a linear layer: its softmax or sigmoid is predict_proba of scikit-learn or of SetFit's own head."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain

from assay_export.checkpoint.setfit.linear_head import LinearHead, read_linear_head
from assay_export.errors import CheckpointError
from tests.export import setfit_models

X = setfit_models.random_embeddings()
HEADS = setfit_models.heads(X)


def read(head: Any, folder: Path) -> LinearHead:
    return read_linear_head(setfit_models.dump(head, folder / "model_head.pkl"))


@pytest.mark.parametrize(
    ("kind", "activation", "classes"),
    [
        ("three classes", "softmax", (0, 1, 2)),
        ("two classes", "softmax", (0, 1)),
        ("text classes", "softmax", ("maybe", "no", "yes")),
        ("one-vs-rest", "sigmoid", (0, 1, 2)),
        ("multi-output", "sigmoid", (0, 1, 2)),
    ],
)
def test_probabilities_are_those_of_scikit_learn(
    kind: str, activation: str, classes: tuple[object, ...], tmp_path: Path
) -> None:
    head = read(HEADS[kind], tmp_path)
    logits = X @ head.weight.T + head.bias
    found = softmax(logits, axis=1) if activation == "softmax" else expit(logits)
    expected = HEADS[kind].predict_proba(X)
    if isinstance(expected, list):
        expected = np.stack([pair[:, 1] for pair in expected], axis=1)
    assert (head.activation, head.classes) == (activation, classes)
    assert head.weight.dtype == head.bias.dtype == np.float32
    assert np.abs(found - expected).max() < 1e-6


@pytest.mark.parametrize("multitarget", [False, True])
@pytest.mark.parametrize(("temperature", "bias", "dtype"), [(1.0, True, "float32"), (0.25, False, "float64")])
def test_probabilities_are_those_of_setfits_differentiable_head(
    multitarget: bool, temperature: float, bias: bool, dtype: str, tmp_path: Path
) -> None:
    made = setfit_models.torch_head(4, temperature=temperature, multitarget=multitarget, bias=bias)
    made = made.to(getattr(torch, dtype))
    with torch.no_grad():
        expected = made.predict_proba(torch.from_numpy(X.astype(dtype))).numpy()
    head = read(made, tmp_path)
    found = expit(X @ head.weight.T + head.bias) if multitarget else softmax(X @ head.weight.T + head.bias, axis=1)
    assert (head.activation, head.classes) == ("sigmoid" if multitarget else "softmax", (0, 1, 2, 3))
    assert head.weight.dtype == head.bias.dtype == np.float32
    assert np.abs(found - expected).max() < 1e-6


def fit(targets: Any, **attributes: Any) -> Any:
    head = LogisticRegression().fit(X, targets)
    for name, value in attributes.items():
        setattr(head, name, value)
    return head


def test_a_multinomial_fit_of_two_classes_by_an_earlier_scikit_learn_is_the_softmax_of_both_signs(
    tmp_path: Path,
) -> None:
    head = fit(np.arange(8) % 2, multi_class="multinomial")
    decision = head.decision_function(X)
    expected = softmax(np.stack([-decision, decision], axis=1), axis=1)  # its predict_proba
    found = read(head, tmp_path)
    assert np.abs(softmax(X @ found.weight.T + found.bias, axis=1) - expected).max() < 1e-6


def with_bias(bias: torch.Tensor) -> Any:
    head = setfit_models.torch_head()
    head.linear.bias = torch.nn.Parameter(bias)
    return head


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (fit(np.arange(8) % 3, multi_class="ovr"), "whose probabilities are no softmax"),
        (fit(np.arange(8) % 3, multi_class="auto", solver="liblinear"), "whose probabilities are no softmax"),
        (LogisticRegression(), "has no array coef_: it was not trained"),
        (fit(np.arange(8) % 2, coef_=np.full((1, 32), np.nan)), "the coefficients have NaN or infinity"),
        (fit(np.arange(8) % 2, intercept_=np.zeros(3)), r"coef_ has the shape \[1, 32\], intercept_ \[3\]"),
        (fit(np.arange(8) % 3, classes_=np.arange(5)), "coef_ has 3 rows for 5 classes"),
        (fit(np.arange(8) % 2, classes_=np.array([0.5, 1.5])), "classes_ has the type float64"),
        (OneVsRestClassifier(LogisticRegression()).fit(X, np.arange(8) % 3), "trained on 'multiclass' targets"),
        (
            ClassifierChain(LogisticRegression()).fit(X, setfit_models.SEVERAL),
            r"it names sklearn\.multioutput\.ClassifierChain, and only .*: train the model with such a head",
        ),
        ([1, 2], "it holds a list, expected a LogisticRegression of scikit-learn or a SetFitHead"),
        (torch.nn.Linear(3, 2), "it holds a Linear, expected a LogisticRegression of scikit-learn or a SetFitHead"),
        (setfit_models.torch_head(1), "no linear layer with a weight for each of two labels or more"),
        (setfit_models.torch_head(linear=None), "no linear layer with a weight for each of two labels or more"),
        (
            with_bias(torch.ones(5)),
            r"the weight has the shape \[3, 32\] and the bias \[5\], expected \[labels, channels\] and \[labels\]",
        ),
        (setfit_models.torch_head(temperature=-1e-5), r"divides by temperature \+ eps, which is 0"),
        (setfit_models.torch_head(temperature=1e-45, eps=0), "the coefficients have NaN or infinity"),
        (setfit_models.torch_head(eps=None), "has eps = None, expected a number: save it with SetFit 1.0"),
        (setfit_models.torch_head(multitarget=1), "has multitarget = 1, expected true or false"),
    ],
)
def test_what_is_no_softmax_or_sigmoid_of_a_linear_layer_is_refused(head: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=message) as caught:
        read(head, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_label_that_all_or_no_training_texts_had_is_refused_by_name(tmp_path: Path) -> None:
    targets = setfit_models.SEVERAL.copy()
    targets[:, 1] = 1
    with pytest.warns(UserWarning, match="present in all training"):
        head = OneVsRestClassifier(LogisticRegression()).fit(X, targets)
    with pytest.raises(CheckpointError, match=r"it names sklearn\.multiclass\._ConstantPredictor"):
        read(head, tmp_path)
