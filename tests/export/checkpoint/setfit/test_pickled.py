"""A pickled head is read without running anything that it names, and everything but linear heads is refused."""

import io
import os
import pickle
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from assay_export.checkpoint.setfit import pickled
from assay_export.errors import CheckpointError
from tests.export import setfit_models

X, Y = setfit_models.random_embeddings(), np.arange(8) % 2


class Runs:
    """A pickle of it makes a folder when pickle loads it."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.place),)


def dump(value: object, folder: Path) -> Path:
    joblib.dump(value, folder / "model_head.pkl")
    return folder / "model_head.pkl"


def refuse(path: Path, message: str) -> None:
    with pytest.raises(CheckpointError, match=message) as caught:
        pickled.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_the_arrays_of_every_protocol_are_read(protocol: int, tmp_path: Path) -> None:
    head = LogisticRegression().fit(X, np.array(["no", "yes"])[Y])
    head.coef_ = np.asfortranarray(np.vstack([head.coef_, 2 * head.coef_]))
    joblib.dump(head, tmp_path / "head.pkl", protocol=protocol)
    stored = pickled.load(tmp_path / "head.pkl")
    assert isinstance(stored, pickled.LogisticRegression)
    for name in ("coef_", "intercept_", "classes_"):
        assert np.array_equal(stored.state[name].array, getattr(head, name)), name


def test_code_that_a_pickle_names_never_runs(tmp_path: Path) -> None:
    place = tmp_path / "made"
    path = dump(Runs(place), tmp_path)
    refuse(path, r"model_head\.pkl: it names (posix|nt)\.mkdir, and only scikit-learn's LogisticRegression")
    head = LogisticRegression().fit(X, Y)
    head.extra = Runs(place)
    refuse(dump(head, tmp_path), r"it names (posix|nt)\.mkdir")
    assert not place.exists()
    joblib.load(path)
    assert place.exists()  # so the pickle would have made it


@pytest.mark.parametrize(
    "name", ["builtins\neval", "sklearn.linear_model._logistic\nLogisticRegression.fit", "numpy\nload", "os\nsystem"]
)
def test_a_name_that_is_not_listed_is_refused_before_it_is_imported(name: str, tmp_path: Path) -> None:
    (tmp_path / "head.pkl").write_bytes(b"\x80\x02c" + name.encode() + b"\n(U\x01atR.")
    refuse(tmp_path / "head.pkl", "it names " + name.replace("\n", r"\."))


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (RandomForestClassifier(2), r"it names sklearn\.ensemble\._forest\.RandomForestClassifier"),
        (make_pipeline(StandardScaler(), LogisticRegression()), r"it names sklearn\.pipeline\.Pipeline"),
    ],
)
def test_another_head_is_refused_by_name(head: Any, message: str, tmp_path: Path) -> None:
    refuse(dump(head.fit(X, Y), tmp_path), message)


def test_another_torch_head_is_refused_by_name(tmp_path: Path) -> None:
    import torch

    refuse(dump(torch.nn.Sequential(torch.nn.Linear(3, 2)), tmp_path), r"it names torch\.nn\.modules\.container\.Seq")
    refuse(dump(torch.nn.LazyLinear(2), tmp_path), r"it names torch\.nn\.modules\.linear\.LazyLinear")


def test_an_array_of_objects_is_refused(tmp_path: Path) -> None:
    head = LogisticRegression().fit(X, Y)
    head.classes_ = np.array(["a", None], dtype=object)
    refuse(dump(head, tmp_path), "it has an array of Python objects, expected numbers or text")


@pytest.mark.parametrize("cut", [1, 40, 200, 700])
def test_a_file_that_ends_early_is_refused(cut: int, tmp_path: Path) -> None:
    path = dump(LogisticRegression().fit(X, Y), tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[:-cut])
    refuse(path, "is damaged: ")


def test_a_compressed_file_is_refused(tmp_path: Path) -> None:
    joblib.dump(LogisticRegression().fit(X, Y), tmp_path / "head.pkl", compress=3)
    refuse(tmp_path / "head.pkl", "or a compressed one: save the head with joblib.dump")


def test_a_large_number_in_the_file_allocates_nothing(tmp_path: Path) -> None:
    (tmp_path / "head.pkl").write_bytes(b"\x80\x04Nr\xff\xff\xff\xff.")  # None, as entry 2**32 - 1 of the memo
    assert pickled.load(tmp_path / "head.pkl") is None


@pytest.mark.parametrize("state", [b"}", b"N}X\x01\x00\x00\x00aK\x01s\x86"])
def test_a_file_cannot_change_the_classes_that_stand_for_its_names(state: bytes, tmp_path: Path) -> None:
    (tmp_path / "head.pkl").write_bytes(b"\x80\x02cnumpy\nndarray\n" + state + b"b.")
    refuse(tmp_path / "head.pkl", "is damaged: TypeError")


def test_a_pickle_of_plain_values_is_no_classifier(tmp_path: Path) -> None:
    stream = io.BytesIO()
    pickle.dump({"coef_": 1}, stream)
    (tmp_path / "head.pkl").write_bytes(stream.getvalue())
    assert pickled.load(tmp_path / "head.pkl") == {"coef_": 1}
