"""The tensors of a pickled head are read as torch reads them, and a damaged or hostile one is refused."""

import io
import os
import pickle
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch

from assay_export.checkpoint.setfit import pickled, tensors
from assay_export.errors import CheckpointError


def save(value: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, _use_new_zipfile_serialization=False, **options)
    return stream.getvalue()


def store(*numbers: float) -> bytes:
    return save(torch.tensor(numbers)._typed_storage())


WHOLE = torch.arange(24, dtype=torch.float32).reshape(4, 6)
BYTES = store(1.0, 2.0, 3.0)


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize(
    "tensor",
    [
        WHOLE,
        WHOLE.double(),
        WHOLE.half(),
        WHOLE.T,
        WHOLE[1:3, 2:5],
        WHOLE[:, 3],
        WHOLE[:0],
        torch.tensor(2.0),
        torch.nn.Parameter(WHOLE),
        torch.ones(1).expand(1, 1),
    ],
)
def test_a_tensor_is_read_as_torch_reads_it(tensor: torch.Tensor, protocol: int, tmp_path: Path) -> None:
    joblib.dump(tensor, tmp_path / "tensor.pkl", protocol=protocol)
    found = pickled.load(tmp_path / "tensor.pkl")
    assert isinstance(found, tensors.Tensor | tensors.Parameter)
    expected = tensor.detach().numpy()
    assert found.array.dtype == expected.dtype
    assert np.array_equal(found.array, expected)


@pytest.mark.parametrize("dtype", ["bfloat16", "int64"])
def test_numbers_of_another_type_are_refused_by_name(dtype: str, tmp_path: Path) -> None:
    joblib.dump(torch.ones(3, dtype=getattr(torch, dtype)), tmp_path / "tensor.pkl")
    with pytest.raises(CheckpointError, match=r"a tensor of torch\.(BFloat16|Long)Storage, expected float32"):
        pickled.load(tmp_path / "tensor.pkl")


class Runs:
    """A pickle of it makes a folder when pickle loads it."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.place),)


def test_code_that_the_file_in_a_tensor_names_never_runs(tmp_path: Path) -> None:
    place = tmp_path / "made"
    inner = save(Runs(place))
    call = pickle.dumps(Call(inner))
    (tmp_path / "head.pkl").write_bytes(call)
    with pytest.raises(CheckpointError, match=r"it has a tensor of (posix|nt)\.mkdir, expected float32"):
        pickled.load(tmp_path / "head.pkl")
    assert not place.exists()
    pickle.loads(call)
    assert place.exists()  # so the pickle would have made it


class Call:
    """A pickle of it loads bytes as the numbers of a tensor are loaded."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __reduce__(self) -> Any:
        return torch.storage._load_from_bytes, (self.data,)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (BYTES[:-1], "has 11 bytes for 3 numbers of the type float32"),
        (BYTES + b"\0", "has 13 bytes for 3 numbers"),
        (save([1, 2]), "not stored as torch.save does"),
        (BYTES.replace(b"\x80\x02M\xe9\x03", b"\x80\x02M\xea\x03", 1), "not stored as torch.save does"),
        ("text", "the numbers of a tensor are a str, expected bytes"),
    ],
)
def test_numbers_that_torch_did_not_save_are_refused(data: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tensors.Storage(data)


def test_a_count_in_the_file_allocates_nothing() -> None:
    data = BYTES[:-20] + (2**60).to_bytes(8, "little") + BYTES[-12:]
    with pytest.raises(ValueError, match="has 12 bytes for 1,152,921,504,606,846,976 numbers"):
        tensors.Storage(data)


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (0, (4,), (1,)),
        (1, (3,), (1,)),
        (0, (2, 2), (2, 1)),
        (0, (1 << 40,), (0,)),
        (-1, (1,), (1,)),
        (0, (2,), (-1,)),
        (0, (2,), (1, 1)),
        (0, (2.0,), (1,)),
    ],
)
def test_a_tensor_beyond_its_numbers_is_refused(offset: Any, size: Any, stride: Any) -> None:
    storage = tensors.Storage(BYTES)
    with pytest.raises(ValueError, match=r"a tensor (of|has) the shape"):
        tensors.Tensor(storage, offset, size, stride)
