"""The external weight file: tensors are stored once, on page boundaries, and are read back unchanged."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from assay_export.graphs.weights import INLINE_BYTES, PAGE_BYTES, WeightFile
from assay_export.graphs.writer import Array

LARGE = np.random.default_rng(0).normal(size=(40, 30)).astype(np.float32)


def read_offset(tensor: ir.TensorProtocol) -> int:
    assert isinstance(tensor, ir.ExternalTensor)
    assert tensor.offset is not None
    return tensor.offset


def test_every_stored_tensor_starts_on_a_page(tmp_path: Path) -> None:
    with WeightFile(tmp_path / "data") as file:
        tensors = [file.tensor(f"t{rows}", LARGE[:rows]) for rows in (40, 33, 21, 9)]
    offsets = [read_offset(tensor) for tensor in tensors]
    assert offsets == sorted(set(offsets))
    assert [offset % PAGE_BYTES for offset in offsets] == [0] * 4
    assert (tmp_path / "data").stat().st_size == offsets[-1] + LARGE[:9].nbytes


def test_equal_tensors_of_different_names_share_their_bytes(tmp_path: Path) -> None:
    with WeightFile(tmp_path / "data") as file:
        first, second = file.tensor("a", LARGE), file.tensor("b", LARGE.copy())
    assert (first.name, second.name) == ("a", "b")
    assert read_offset(first) == read_offset(second)
    assert (tmp_path / "data").stat().st_size == LARGE.nbytes


@pytest.mark.parametrize(
    "other", [LARGE.reshape(30, 40), LARGE.view(np.int32), LARGE + np.float32(1e-6)], ids=["shape", "type", "values"]
)
def test_tensors_that_differ_in_shape_type_or_values_are_stored_separately(tmp_path: Path, other: Array) -> None:
    with WeightFile(tmp_path / "data") as file:
        assert read_offset(file.tensor("a", LARGE)) != read_offset(file.tensor("b", other))


@pytest.mark.parametrize("count", [1, INLINE_BYTES // 4])
def test_small_tensors_are_stored_in_the_graph(tmp_path: Path, count: int) -> None:
    with WeightFile(tmp_path / "data") as file:
        tensor = file.tensor("small", np.arange(count, dtype=np.float32))
    assert not isinstance(tensor, ir.ExternalTensor)
    assert (tmp_path / "data").stat().st_size == 0
    assert tensor.numpy().tolist() == list(range(count))


def test_a_small_tensor_is_a_copy_of_its_array(tmp_path: Path) -> None:
    array = np.zeros(3, np.float32)
    with WeightFile(tmp_path / "data") as file:
        tensor = file.tensor("small", array)
    array[:] = 1
    assert tensor.numpy().tolist() == [0, 0, 0]


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "int8", "uint8", "bool"])
@pytest.mark.parametrize(
    "layout",
    [lambda a: a, lambda a: a.T, lambda a: a[:, ::2], lambda a: a[0, :3]],
    ids=["plain", "T", "strided", "small"],
)
def test_onnx_reads_back_the_array_that_was_stored(
    tmp_path: Path, dtype: str, layout: Callable[[Array], Array]
) -> None:
    array = layout((np.random.default_rng(0).normal(size=(40, 60)) * 50).astype(dtype))
    graph = ir.Graph([], [], nodes=[], opset_imports={"": 20}, name="g")
    with WeightFile(tmp_path / "model.onnx_data") as file:
        file.tensor("first", LARGE)
        value = ir.Value(name="w", const_value=file.tensor("w", array))
        graph.register_initializer(value)
        ir.save(ir.Model(graph, ir_version=10), tmp_path / "model.onnx")
    (tensor,) = onnx.load(tmp_path / "model.onnx").graph.initializer
    read = onnx.numpy_helper.to_array(tensor)
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


def test_the_graph_refers_to_the_file_without_its_folder(tmp_path: Path) -> None:
    with WeightFile(tmp_path / "model.onnx_data") as file:
        tensor = file.tensor("w", LARGE)
    assert isinstance(tensor, ir.ExternalTensor)
    assert tensor.location == "model.onnx_data"
