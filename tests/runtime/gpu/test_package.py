"""The real onnxruntime-gpu on a machine without a GPU, and the errors that Assay makes of its messages.

It cannot share an environment with onnxruntime, so these tests run in another one, made by `make test-gpu-package`.
ASSAY_GPU_PYTHON names its interpreter.
"""

import mmap
import os
import subprocess
from pathlib import Path

import pytest

from assay.devices import Device
from assay.gpu import driver, providers
from assay.gpu.options import GpuOptions

PYTHON = os.environ.get("ASSAY_GPU_PYTHON", "")

pytestmark = [
    pytest.mark.skipif(not PYTHON, reason="ASSAY_GPU_PYTHON is not set: run make test-gpu-package"),
    pytest.mark.skipif(bool(driver.find().gpus), reason="there is a GPU here: run make test-gpu"),
]
ROOT = Path(__file__).parents[3]
CUDA = providers.configure_cuda(Device("cuda", 1), GpuOptions(1 << 30, True))
TENSORRT = providers.configure_tensorrt(Device("tensorrt", 0), GpuOptions(), ("a",), 64, Path("e"), Path("t"))


def command(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """`assay WORDS` with onnxruntime-gpu."""
    return subprocess.run(
        [PYTHON, "-m", "assay", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT / "runtime")} | environment,
    )


def python(code: str) -> str:
    done = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_cpu_works_with_the_gpu_build(pair_bundle: Path) -> None:
    done = command("verify", pair_bundle)
    assert (done.returncode, done.stderr) == (0, "")
    assert "fp32 cpu: max |delta logit|" in done.stdout


@pytest.mark.parametrize("words", [["predict", "a", "b"], ["verify"]])
def test_cuda_is_refused_in_one_line_that_names_the_library_and_the_package(
    words: list[str], pair_bundle: Path
) -> None:
    done = command(words[0], pair_bundle, *words[1:], "--device", "cuda")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "CUDAExecutionProvider did not load for device 'cuda:0'" in done.stderr
    major = python("import onnxruntime; print(onnxruntime.cuda_version.split('.')[0])")
    without_cuda = f"cuBLAS for CUDA {major} is not installed (libcublasLt.so.{major} is missing)"
    without_driver = "NVIDIA's driver is not installed"
    assert without_cuda in done.stderr or without_driver in done.stderr
    assert "pip install 'assay[gpu]'" in done.stderr or "--gpus all" in done.stderr


def test_tensorrt_is_refused_without_a_gpu(pair_bundle: Path, tmp_path: Path) -> None:
    done = command("predict", pair_bundle, "a", "b", "--device", "tensorrt", ASSAY_CACHE=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "tensorrt cannot be used: there is no NVIDIA driver here" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_auto_selects_the_cpu_without_a_message(pair_bundle: Path) -> None:
    done = command("predict", pair_bundle, "a", "b", "--device", "auto")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("library", "options"),
    [
        ("cuda", CUDA[0][1]),
        (
            "tensorrt",
            TENSORRT[0][1],
        ),
    ],
)
def test_the_provider_knows_every_option_that_is_set(library: str, options: dict[str, str]) -> None:
    package = Path(python("import onnxruntime; print(onnxruntime.__file__)")).parent
    (path,) = (package / "capi").glob(f"*onnxruntime_providers_{library}.*")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        assert content.find(b"\0" + b"no_such_option" + b"\0") == -1
        for name in options:
            assert content.find(b"\0" + name.encode() + b"\0") != -1, name
