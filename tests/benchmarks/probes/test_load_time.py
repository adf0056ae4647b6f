"""The probe of start times: real processes, their steps, and a table."""

from pathlib import Path

import pytest

from assay.bundle import manifest
from benchmarks.errors import BenchmarkError
from benchmarks.probes.load_time import STEPS, format_table, list_contenders, run
from tests.conftest import CHECKPOINTS


@pytest.mark.parametrize(
    ("name", "package"), [("assay fp32", "onnxruntime"), ("OpenVINO fp32, with its model cache", "openvino")]
)
def test_a_fresh_process_takes_every_step(name: str, package: str, pair_bundle: Path, tmp_path: Path) -> None:
    pytest.importorskip(package)
    described = manifest.read(pair_bundle / manifest.MANIFEST_NAME)
    checkpoint = CHECKPOINTS / "pair-classifier"
    contenders = list_contenders(checkpoint, pair_bundle, described, tmp_path / "quantised" / "model.xml", tmp_path)
    seconds = run(name, *contenders[name], tmp_path / "bytecode")
    assert len(seconds) == len(STEPS)
    assert all(value > 0 for value in seconds)
    assert any((tmp_path / "bytecode").rglob("first_answer*.pyc"))
    assert ("cache" in name) == any("cache" in path.name for path in tmp_path.iterdir())


def test_every_precision_of_openvino_runs_with_and_without_its_cache(pair_bundle: Path, tmp_path: Path) -> None:
    described = manifest.read(pair_bundle / manifest.MANIFEST_NAME)
    contenders = list_contenders(tmp_path, pair_bundle, described, tmp_path / "quantised" / "model.xml", tmp_path)
    caches = {name: arguments["cache"] for name, (kind, arguments) in contenders.items() if kind == "openvino"}
    assert [bool(cache) for cache in caches.values()] == [False, True, False, True]
    assert len(set(caches.values())) == 3
    assert all(len(arguments["row"]) == 2 for _, arguments in contenders.values())


def test_a_process_that_fails_is_named_with_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"^assay fp32 gave no answer: .*is not a folder|no such|BundleError"):
        run("assay fp32", "assay", {"bundle": str(tmp_path / "absent"), "variant": "fp32", "row": ["a"]}, tmp_path)


def test_the_table_has_the_median_of_each_step_and_the_range_of_the_whole() -> None:
    table = format_table({"x": [[0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.5, 0.4], [0.1, 0.2, 0.4, 0.4]]})
    assert table.splitlines()[0].count("|") == table.splitlines()[1].count("|") == table.splitlines()[2].count("|")
    assert table.splitlines()[2] == "| x | 0.10 | 0.20 | 0.40 | 0.40 | 1.10 (1.00..1.20) |"
