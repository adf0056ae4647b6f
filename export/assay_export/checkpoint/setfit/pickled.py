"""Read the classifier out of model_head.pkl without running anything that the file names.

A pickle is a program that may call any function. Here, every name in the file becomes an inert class of this package or
is refused: scikit-learn, joblib, numpy, torch and SetFit are never called. joblib writes the numbers of an array raw
into the middle of the pickle, after the object that describes them.
"""

import io
import math
import pickle
import re
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from assay.files import read_bounded
from assay_export.checkpoint.reading import refuse_bad_files, refuse_pointer
from assay_export.checkpoint.setfit.stored import Dictionary, Mention, Stored
from assay_export.checkpoint.setfit.tensors import Linear, Parameter, SetFitHead, Storage, Tensor
from assay_export.errors import CheckpointError

__all__ = ["LabelBinarizer", "LogisticRegression", "MultiOutput", "OneVsRest", "load"]

_MAX_BYTES = 256 << 20  # a head of 1,000 labels over 4,096 channels has 33 MB
_PLAIN = re.compile(r"[fiu][1248]|b1|U\d{1,6}")


class LogisticRegression(Stored):
    """scikit-learn's LogisticRegression."""


class OneVsRest(Stored):
    """scikit-learn's OneVsRestClassifier: one classifier for each label."""


class MultiOutput(Stored):
    """scikit-learn's MultiOutputClassifier: one classifier for each label."""


class LabelBinarizer(Stored):
    """scikit-learn's LabelBinarizer, which a OneVsRestClassifier keeps its labels in."""


class _DType(Stored):
    """A type of numbers, as numpy pickles it: its code, and its byte order as the second item of the state."""

    def __init__(self, code: str, *_: object) -> None:
        self.code, self.order = code, "="

    def __setstate__(self, state: object) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "|", "="):
            self.order = state[1]

    def find(self) -> np.dtype[Any]:
        """Return numpy's type, if it is one of plain numbers or text."""
        if not isinstance(self.code, str) or not _PLAIN.fullmatch(self.code):
            what = "Python objects" if str(self.code).startswith("O") else f"the type {self.code!r:.20}"
            raise CheckpointError(f"it has an array of {what}, expected numbers or text")
        return np.dtype(self.order + self.code)


class _Array(Stored):
    """An array of joblib. `stream` is the file that is being read, whose next bytes are the array's."""

    stream: ClassVar[io.BytesIO]
    array: npt.NDArray[Any]

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, dict) or not isinstance(state.get("dtype"), _DType):
            raise ValueError("an array is not described as joblib does")
        dtype, shape = state["dtype"].find(), state.get("shape")
        if not isinstance(shape, tuple) or not all(isinstance(size, int) and size >= 0 for size in shape):
            raise ValueError(f"an array has the shape {shape!r:.80}")
        if state.get("numpy_array_alignment_bytes") is not None:
            self.stream.read(self.stream.read(1)[0])
        data = self.stream.read(math.prod(shape) * dtype.itemsize)
        flat = np.frombuffer(data, dtype)
        self.array = flat.reshape(shape, order="F") if state.get("order") == "F" else flat.reshape(shape)


_KNOWN: dict[tuple[str, str], type[Stored]] = {
    ("sklearn.linear_model._logistic", "LogisticRegression"): LogisticRegression,
    ("sklearn.linear_model.logistic", "LogisticRegression"): LogisticRegression,  # scikit-learn before 0.22
    ("sklearn.multiclass", "OneVsRestClassifier"): OneVsRest,
    ("sklearn.multioutput", "MultiOutputClassifier"): MultiOutput,
    ("sklearn.preprocessing._label", "LabelBinarizer"): LabelBinarizer,
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): _Array,
    ("numpy", "dtype"): _DType,
    ("numpy", "ndarray"): Mention,
    ("setfit.modeling", "SetFitHead"): SetFitHead,
    ("torch.nn.modules.linear", "Linear"): Linear,
    ("torch._utils", "_rebuild_parameter"): Parameter,
    ("torch._utils", "_rebuild_tensor_v2"): Tensor,
    ("torch.storage", "_load_from_bytes"): Storage,
    ("torch", "device"): Mention,
    ("collections", "OrderedDict"): Dictionary,
    ("builtins", "set"): Mention,
}


class _Unpickler(pickle._Unpickler):
    """The unpickler that is written in Python: that in C allocates as much memory as a number in the file says."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream)
        self._array = type("_ArrayOfFile", (_Array,), {"stream": stream})

    def find_class(self, module: str, name: str) -> type[Stored]:
        known = _KNOWN.get((module, name))
        if known is None:
            raise CheckpointError(
                f"it names {module}.{name:.80}, and only scikit-learn's LogisticRegression is read from a pickle, "
                "alone or in a OneVsRestClassifier or MultiOutputClassifier, and SetFit's SetFitHead: train the model "
                "with such a head"
            )
        return self._array if known is _Array else known


def load(path: Path) -> object:
    """Read the object that model_head.pkl stores: a `Stored` if it is a classifier that is known.

    Raises:
        CheckpointError: The file is missing, damaged or compressed, or names anything but what is listed here.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is missing: copy the checkpoint again")
    with refuse_bad_files(path):
        data = read_bounded(path, _MAX_BYTES)
    refuse_pointer(path, data)
    if not data.startswith(b"\x80"):
        raise CheckpointError(
            f"{path} is no pickle that SetFit writes, or a compressed one: save the head with joblib.dump(head, PATH)"
        )
    try:
        return _Unpickler(io.BytesIO(data)).load()
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except Exception as error:  # a damaged pickle raises anything
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path} is damaged: {type(error).__name__}: {reason[:200]}") from error
