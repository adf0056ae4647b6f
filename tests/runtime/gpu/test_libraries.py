import builtins
import sys
import threading
from types import ModuleType
from typing import Any

import pytest

from assay import ProviderError
from assay.devices import Device
from assay.gpu import libraries

CUDA, TENSORRT = Device("cuda", 0), Device("tensorrt", 0)
PROVIDERS = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]


def runtime(body: str, **names: Any) -> ModuleType:
    """A module onnxruntime whose preload_dlls has the given body."""
    module = ModuleType("onnxruntime")
    module.__dict__.update(names, __version__="1.0", get_available_providers=lambda: PROVIDERS)
    exec(f"def preload_dlls():\n    {body}", module.__dict__)
    return module


def test_what_preloading_prints_is_returned_and_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    ort = runtime("print('Failed to load', 'libcudnn.so.9'); print('See the docs')")
    assert libraries.prepare(ort, CUDA) == "Failed to load libcudnn.so.9\nSee the docs"
    assert capsys.readouterr().out == ""
    assert "print" not in vars(ort)


def test_what_preloading_raises_is_returned() -> None:
    ort = runtime("raise RuntimeError('no folder')")
    assert libraries.prepare(ort, CUDA) == "RuntimeError: no folder"
    assert "print" not in vars(ort)


def test_another_thread_prints_while_libraries_are_preloaded(capsys: pytest.CaptureFixture[str]) -> None:
    inside, printed = threading.Event(), threading.Event()
    ort = runtime("inside.set(); printed.wait(20); print('Failed')", inside=inside, printed=printed)

    def speak() -> None:
        inside.wait(20)
        print("an answer")
        printed.set()

    thread = threading.Thread(target=speak)
    thread.start()
    stdout = sys.stdout
    assert libraries.prepare(ort, CUDA) == "Failed"
    thread.join()
    assert sys.stdout is stdout
    assert capsys.readouterr().out == "an answer\n"


def test_the_print_of_the_module_itself_is_put_back() -> None:
    ort = runtime("print('x')", print=builtins.print)
    assert libraries.prepare(ort, CUDA) == "x"
    assert vars(ort)["print"] is builtins.print


def test_a_tensorrt_package_that_does_not_load_is_reported(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tensorrt_libs.py").write_text("raise OSError('libnvinfer.so.10: bad')")
    monkeypatch.syspath_prepend(tmp_path)
    ort = runtime("pass")
    assert libraries.prepare(ort, TENSORRT) == "OSError: libnvinfer.so.10: bad"
    assert libraries.prepare(ort, CUDA) == ""


def test_nothing_is_preloaded_for_a_provider_that_this_build_lacks() -> None:
    ort = runtime("1 / 0")
    vars(ort)["get_available_providers"] = lambda: ["CPUExecutionProvider"]
    with pytest.raises(ProviderError, match="needs CUDAExecutionProvider"):
        libraries.prepare(ort, CUDA)
