"""Position tables in the layout of the attention kernels."""

import numpy as np
import pytest

from assay_export.graphs.kernels.attention_tables import PANEL, compact, pack_float32, pack_int8

BUCKET_ROWS = [
    np.arange(3),
    np.repeat([3, 7, 8, 9, 200], [5, 1, 1, 1, 5]),  # rows that no distance uses lie between
    np.arange(2 * 512 + 1),
    np.minimum(np.arange(2 * 20 + 1) + 4, 40),  # the last rows are shared
]


@pytest.mark.parametrize("bucket_rows", BUCKET_ROWS)
def test_distance_0_is_in_the_last_lane_of_a_panel(bucket_rows: np.ndarray) -> None:
    places = compact(bucket_rows).places
    assert places.dtype == np.int32
    assert places[len(places) // 2] % PANEL == PANEL - 1


@pytest.mark.parametrize("bucket_rows", BUCKET_ROWS)
def test_places_rise_by_at_most_one_from_one_distance_to_the_next(bucket_rows: np.ndarray) -> None:
    rows = compact(bucket_rows)
    assert 0 <= rows.fillers < PANEL
    assert rows.places[0] == rows.fillers
    assert set(np.diff(rows.places)) <= {0, 1}


@pytest.mark.parametrize("bucket_rows", BUCKET_ROWS)
def test_each_distance_finds_the_row_of_its_bucket(bucket_rows: np.ndarray) -> None:
    table = np.random.default_rng(0).standard_normal((2, 2 * 512 + 1, 5)).astype(np.float32)
    rows = compact(bucket_rows)
    taken = rows.take(table)
    np.testing.assert_array_equal(taken[:, rows.places], table[:, bucket_rows])
    assert not taken[:, : rows.fillers].any()


def test_the_packed_table_ends_with_the_panel_of_the_last_distance() -> None:
    """The operator requires exactly so many panels."""
    for bucket_rows in BUCKET_ROWS:
        rows = compact(bucket_rows)
        table = rows.take(np.ones((2, 2 * 512 + 1, 5), np.float32))
        panels = int(rows.places[-1]) // PANEL + 1
        assert pack_float32(table).shape == (2, panels, 5, PANEL)
        packed = pack_int8(table)
        assert packed.panels.shape == (2, panels, 2, PANEL, 4)
        assert packed.scale.shape == packed.correction.shape == (2, panels * PANEL)
