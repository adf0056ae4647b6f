"""Fixtures for the examples that use transformers.js: what they need, and bundles with every graph that it can open."""

import shutil
from pathlib import Path

import pytest

from assay.ort import saturation
from tests.conftest import CHECKPOINTS, ROOT

# int8_ort is exported where ONNX Runtime's int8 products are exact.
INT8_ORT = () if saturation.find_problem() else ("int8_ort",)
VARIANTS = {
    "pair-classifier": ("fp32", *INT8_ORT, "int8_qdq", "fp16"),
    "complexity": ("fp32", *INT8_ORT),  # fewer, because each takes seconds to export
}
GRAPHS = [(name, variant) for name, variants in VARIANTS.items() for variant in variants]


@pytest.fixture(scope="session")
def node() -> str:
    """Node's path. The npm packages of the examples are installed."""
    path = shutil.which("node")
    if path is None:
        pytest.skip("Node is not installed")
    if not (ROOT / "examples/node_modules/@huggingface/transformers").is_dir():
        pytest.skip("the npm packages of the examples are not installed: make web")
    return path


@pytest.fixture(scope="session")
def web_bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with bundles of both demo checkpoints, named as `make demo` names them. Needs PyTorch."""
    pytest.importorskip("torch", reason="the variants are made by the export")
    from assay_export import export
    from tests.export.variants.int8.stand_ins import write_calibration

    folder = tmp_path_factory.mktemp("web-bundles")
    for checkpoint, name, rows in (
        ("pair-classifier", "pair-classifier", "pairs"),
        ("complexity-adapter", "complexity", "instructions"),
    ):
        # fp32 alone takes no calibration.
        calibration = (
            write_calibration(rows, tmp_path_factory.mktemp("calibration")) if len(VARIANTS[name]) > 1 else None
        )
        export(CHECKPOINTS / checkpoint, folder / name, variants=VARIANTS[name], calibration=calibration)
    return folder
