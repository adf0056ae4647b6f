"""Tests that need an NVIDIA GPU, and onnxruntime-gpu in place of onnxruntime: `make test-gpu`.

Without one, each test is skipped with the reason.
"""

from pathlib import Path

import pytest

from assay.gpu import driver
from assay.ort import installation


def why_not() -> str:
    """Return why the tests cannot run here. Empty if they can."""
    if "CUDAExecutionProvider" not in installation.onnxruntime().get_available_providers():
        return (
            "this ONNX Runtime has no CUDAExecutionProvider: pip uninstall -y onnxruntime && pip install 'assay[gpu]'"
        )
    return driver.find().problem


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    reason = why_not() if here else ""
    for item in here:
        item.add_marker(pytest.mark.gpu)
        if reason:
            item.add_marker(pytest.mark.skip(reason=f"no GPU can be used here: {reason}"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cache TensorRT's engines of a test run in one separate folder, since a build takes minutes."""
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path_factory.getbasetemp() / "assay-cache"))


@pytest.fixture(params=["pair_bundle", "scorer_bundle"])
def bundle(request: pytest.FixtureRequest) -> Path:
    """A demo checkpoint (a trained stand-in), exported."""
    folder: Path = request.getfixturevalue(request.param)
    return folder
