import os
from pathlib import Path

import numpy as np
import pytest

import assay
from assay import ProviderError
from assay.bundle import golden
from assay.bundle.folder import open_bundle
from assay.cli.main import main
from assay.devices import Device
from assay.gpu.libraries import prepare
from assay.models.base import runner_of
from assay.ort import installation


@pytest.fixture(autouse=True)
def _tensorrt() -> None:
    """Skip the tests if TensorRT 10 is not installed."""
    import ctypes

    from assay.gpu.session import _NVINFER

    try:
        prepare(installation.onnxruntime(), Device("tensorrt", 0))
        ctypes.CDLL(_NVINFER)
    except (OSError, ProviderError) as error:
        pytest.skip(f"TensorRT 10 cannot be used here ({error}): pip install 'tensorrt-cu13>=10,<11'")


def test_warmup_builds_what_verify_then_loads(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["warmup", str(bundle), "--device", "tensorrt", "--variant", "fp32", "--up-to", "128"]) == 0
    assert "[3/3] 128 tokens ..." in capsys.readouterr().err
    assert main(["warmup", str(bundle), "--device", "tensorrt", "--variant", "fp32", "--up-to", "128"]) == 0
    assert capsys.readouterr().err.count("was built before") == 3


@pytest.mark.skipif(
    os.environ.get("NVIDIA_TF32_OVERRIDE") != "0", reason="NVIDIA_TF32_OVERRIDE is not 0 (docs/guide/gpu.md)"
)
def test_every_portable_graph_passes_verify_on_tensorrt(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(bundle), "--device", "tensorrt"]) == 0
    assert "allowed on tensorrt" in capsys.readouterr().out


def test_tensorrt_takes_the_whole_graph(bundle: Path) -> None:
    nodes = assay.load(bundle, device="tensorrt", variant="fp32").info["nodes"]
    assert nodes == {"TensorrtExecutionProvider": 1}


def test_tensorrt_answers_like_the_cpu(bundle: Path) -> None:
    rows = [row for row in golden.read(open_bundle(bundle)).tokens if len(row.ids) <= 128]
    on_cpu = runner_of(assay.load(bundle, device="cpu", variant="fp32")).answer(rows)
    on_gpu = runner_of(assay.load(bundle, device="tensorrt", variant="fp32")).answer(rows)
    assert np.abs(on_gpu - on_cpu).max() <= 1e-2
