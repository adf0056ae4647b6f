"""How weights are packed for the kernels' linear operators."""

import numpy as np
import pytest

from assay_export.graphs.kernels.linear_weights import pack_columns, pack_weight, sum_columns


def int8(rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng([rows, columns]).integers(-127, 128, (rows, columns), dtype=np.int8)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (64, 64), (65, 63), (130, 200)])
def test_every_weight_is_in_its_panel_at_its_depth(rows: int, columns: int) -> None:
    values = int8(rows, columns)
    packed = pack_weight(values)
    assert packed.shape == (-(-columns // 64), -(-rows // 64) * 16, 64, 4)
    for row in range(packed.shape[1] * 4):
        for column in range(packed.shape[0] * 64):
            expected = values[row, column] if row < rows and column < columns else 0
            assert packed[column // 64, row // 4, column % 64, row % 4] == expected


@pytest.mark.parametrize("half", [1, 32, 40, 100])
def test_a_panel_of_a_gated_layer_has_32_columns_of_each_half(half: int) -> None:
    values = np.arange(2 * half)[None] + 1
    packed = pack_columns(values, gated=True)[0]
    for panel in range(len(packed) // 64):
        for offset in range(32):
            column = 32 * panel + offset
            activated, gate = packed[64 * panel + offset], packed[64 * panel + 32 + offset]
            assert (activated, gate) == ((column + 1, half + column + 1) if column < half else (0, 0))


@pytest.mark.parametrize("group", [0, 64, 128])
def test_column_sums_are_those_of_each_group(group: int) -> None:
    values = int8(200, 70)
    sums = sum_columns(values, group)
    size = group or 200
    assert sums.dtype == np.int32
    assert sums.shape == (-(-200 // size), 128)
    for number in range(len(sums)):
        part = values[number * size : (number + 1) * size].astype(int)
        np.testing.assert_array_equal(sums[number, :70], part.sum(axis=0))
