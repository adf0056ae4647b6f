"""The probe of many rows through Ray Data: what counts as different, and the probe end to end on few rows."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.probes import ray_rows


def answers(count: int) -> dict[str, Any]:
    return {
        "id": np.arange(count),
        "label": np.array(["a"] * count, object),
        "score": np.full(count, 0.1, np.float32),
    }


def test_scores_are_the_same_if_their_float32_is() -> None:
    rows = [{"label": "a", "score": 0.1}, {"label": "a", "score": 0.10000001}, {"label": "b", "score": 0.1}]
    assert ray_rows.count_different(rows, answers(3), ["label", "score"]) == 2
    assert ray_rows.count_different(rows[:1], answers(1), ["label", "score"]) == 0


def test_missing_and_repeated_rows_are_refused() -> None:
    repeated = answers(2) | {"id": np.array([0, 0])}
    with pytest.raises(BenchmarkError, match="not each of them once"):
        ray_rows.count_different([{"label": "a", "score": 0.1}] * 2, repeated, ["label"])
    with pytest.raises(BenchmarkError, match="returned 1 rows, annotate 2"):
        ray_rows.count_different([{"label": "a", "score": 0.1}] * 2, answers(1), ["label"])


def test_ray_data_answers_as_annotate(pair_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'ray[data]'")
    assert ray_rows.main([str(pair_bundle), "--rows", "300", "--actors", "1"]) == 0
    assert "0 of 300 rows differ" in capsys.readouterr().out


def test_a_missing_bundle_is_one_line_and_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'ray[data]'")
    assert ray_rows.main([str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err.startswith("error: ")
